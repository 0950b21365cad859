import type { MapFunction } from '../core/index.js'
import { FunctionOperator } from './function-operator.js'
import { userError } from './user-error.js'

export class MapOperator<In, Out> extends FunctionOperator<In, Out, MapFunction<In, Out>> {
  processElement(value: In, timestamp: number): void {
    let result: Out
    try {
      result = this.fn.map(value)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the map function')
    }
    this.output.collect(result, timestamp)
  }
}
