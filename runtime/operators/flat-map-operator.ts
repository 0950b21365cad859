import type { FlatMapFunction } from '../core/index.js'
import { FunctionOperator, TimestampedCollector } from './function-operator.js'
import { userError } from './user-error.js'

export class FlatMapOperator<In, Out> extends FunctionOperator<In, Out, FlatMapFunction<In, Out>> {
  #collector!: TimestampedCollector<Out>

  override open(restored: readonly unknown[]): void {
    this.#collector = new TimestampedCollector(this.output)
    super.open(restored)
  }

  processElement(value: In, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.flatMap(value, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the flatMap function')
    }
  }
}
