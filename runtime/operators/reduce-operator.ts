import { type ReduceFunction, ReducingStateDescriptor } from '../core/index.js'
import type { StateTable } from '../state/index.js'
import { FunctionOperator } from './function-operator.js'
import { userError } from './user-error.js'

/** Rolling reduce on a keyed stream: emits the key's new value for each element (Flink's StreamGroupedReduce). */
export class ReduceOperator<T> extends FunctionOperator<T, T, ReduceFunction<T>> {
  #table!: StateTable<T>

  override open(restored: readonly unknown[]): void {
    this.#table = this.keyed.table(new ReducingStateDescriptor<T>('reduce', (a, b) => this.fn.reduce(a, b))) as StateTable<T>
    super.open(restored)
  }

  processElement(value: T, timestamp: number): void {
    const table = this.#table
    const key = this.keyed.currentKey
    const entry = table.get(key, null)
    if (entry === null) {
      table.insert(key, null, value)
      this.output.collect(value, timestamp)
      return
    }
    let reduced: T
    try {
      reduced = this.fn.reduce(entry.value, value)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the reduce function')
    }
    entry.value = reduced
    table.touch(entry)
    this.output.collect(reduced, timestamp)
  }
}
