import type { RichFunction } from '../core/index.js'
import type { NamedStateChange } from '../state/index.js'
import { type FunctionState, namedChanges, openFunction } from './function-state.js'
import { TwoInputOperator } from './two-input-operator.js'

/** Base of two-input operators around one user function: opens and closes it, and keeps its operator state. */
export abstract class CoFunctionOperator<In1, In2, Out, F extends RichFunction> extends TwoInputOperator<In1, In2, Out> {
  #state: FunctionState | undefined

  constructor(protected readonly fn: F) {
    super()
  }

  override open(restored: readonly unknown[]): void {
    this.#state = openFunction(this.fn, this.context, restored)
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return this.#state?.snapshot(checkpointId) ?? []
  }

  override takeStateChanges(checkpointId: number): unknown {
    return namedChanges(this.takeFunctionChanges(checkpointId))
  }

  protected takeFunctionChanges(checkpointId: number): readonly NamedStateChange[] {
    return this.#state?.takeChanges(checkpointId) ?? []
  }

  override close(): void {
    this.sweep?.close()
    this.fn.close?.()
  }
}
