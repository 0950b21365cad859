import { type ReduceFunction, ReducingStateDescriptor } from '../core/index.js'
import type { StateTable } from '../state/index.js'
import { FunctionState } from './function-state.js'
import { KeyedStreamOperator } from './stream-operator.js'
import { userError } from './user-error.js'

/** Rolling reduce on a keyed stream: emits the key's new value for each element (Flink's StreamGroupedReduce). */
export class ReduceOperator<T> extends KeyedStreamOperator<T, T> {
  #table!: StateTable<T>
  #state: FunctionState | undefined
  constructor(readonly fn: ReduceFunction<T>) {
    super()
  }

  override open(restored: readonly unknown[]): void {
    this.#table = this.keyed.table(new ReducingStateDescriptor<T>('reduce', (a, b) => this.fn.reduce(a, b))) as StateTable<T>
    this.#state = FunctionState.of(this.fn, this.context, restored)
    this.fn.open?.(this.context.runtime)
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return this.#state?.snapshot(checkpointId) ?? []
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

  override close(): void {
    this.fn.close?.()
  }
}
