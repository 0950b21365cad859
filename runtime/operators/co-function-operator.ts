import type { RichFunction } from '../core/index.js'
import { FunctionState } from './function-state.js'
import { TwoInputOperator } from './two-input-operator.js'

/** Base of two-input operators around one user function: opens and closes it, and keeps its operator state. */
export abstract class CoFunctionOperator<In1, In2, Out, F extends RichFunction> extends TwoInputOperator<In1, In2, Out> {
  #state: FunctionState | undefined

  constructor(protected readonly fn: F) {
    super()
  }

  override open(restored: readonly unknown[]): void {
    this.#state = FunctionState.of(this.fn, this.context, restored)
    this.fn.open?.(this.context.runtime)
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return this.#state?.snapshot(checkpointId) ?? []
  }

  override close(): void {
    this.fn.close?.()
  }
}
