import type { CoMapFunction } from '../core/index.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { userError } from './user-error.js'

/** CoMapFunction: one result for each element of either input. */
export class CoMapOperator<In1, In2, Out> extends CoFunctionOperator<In1, In2, Out, CoMapFunction<In1, In2, Out>> {
  processElement(value: In1, timestamp: number): void {
    let result: Out
    try {
      result = this.fn.map1(value)
    } catch (thrown) {
      throw userError(thrown, this.context, 'map1')
    }
    this.output.collect(result, timestamp)
  }

  processElement2(value: In2, timestamp: number): void {
    let result: Out
    try {
      result = this.fn.map2(value)
    } catch (thrown) {
      throw userError(thrown, this.context, 'map2')
    }
    this.output.collect(result, timestamp)
  }
}
