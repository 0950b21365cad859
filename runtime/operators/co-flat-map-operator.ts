import type { CoFlatMapFunction } from '../core/index.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { TimestampedCollector } from './function-operator.js'
import { userError } from './user-error.js'

/** CoFlatMapFunction: any number of results for each element of either input. */
export class CoFlatMapOperator<In1, In2, Out> extends CoFunctionOperator<In1, In2, Out, CoFlatMapFunction<In1, In2, Out>> {
  #collector!: TimestampedCollector<Out>

  override open(restored: readonly unknown[]): void {
    this.#collector = new TimestampedCollector(this.output)
    super.open(restored)
  }

  processElement(value: In1, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.flatMap1(value, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'flatMap1')
    }
  }

  processElement2(value: In2, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.flatMap2(value, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'flatMap2')
    }
  }
}
