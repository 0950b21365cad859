import type { RichFunction } from '../core/index.js'
import { TwoInputOperator } from './two-input-operator.js'

/** Base of two-input operators around one user function: opens and closes it. */
export abstract class CoFunctionOperator<In1, In2, Out, F extends RichFunction> extends TwoInputOperator<In1, In2, Out> {
  constructor(protected readonly fn: F) {
    super()
  }

  override open(_restored: readonly unknown[]): void {
    this.fn.open?.(this.context.runtime)
  }

  override close(): void {
    this.fn.close?.()
  }
}
