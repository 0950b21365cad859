import type { FilterFunction } from '../core/index.js'
import { FunctionOperator } from './function-operator.js'
import { userError } from './user-error.js'

export class FilterOperator<T> extends FunctionOperator<T, T, FilterFunction<T>> {
  processElement(value: T, timestamp: number): void {
    let keep: boolean
    try {
      keep = this.fn.filter(value)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the filter function')
    }
    if (keep) this.output.collect(value, timestamp)
  }
}
