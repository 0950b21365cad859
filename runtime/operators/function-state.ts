import type { CheckpointedFunction, FunctionInitializationContext, RichFunction } from '../core/index.js'
import { isFunctionState, type NamedStateChange, OperatorStateBackend, type OperatorStateChanges } from '../state/index.js'
import type { OperatorContext } from './stream-operator.js'
import { userError } from './user-error.js'

/** Operator state of one function object, if it has any. */
export class FunctionState {
  readonly #backend: OperatorStateBackend

  private constructor(
    readonly fn: Partial<CheckpointedFunction>,
    readonly context: OperatorContext,
    restored: readonly unknown[],
  ) {
    this.#backend = new OperatorStateBackend(restored)
  }

  /** Initialises it; to be called before the function's `open`. Of `restored` it takes what `snapshot` returned and leaves the operator's own. */
  static of(fn: RichFunction & Partial<CheckpointedFunction>, context: OperatorContext, restored: readonly unknown[]): FunctionState | undefined {
    const own = restored.filter(isFunctionState)
    if (fn.initializeState === undefined && fn.snapshotState === undefined && own.length === 0) return undefined
    const state = new FunctionState(fn, context, own)
    state.#initialize(context.restoredCheckpointId)
    return state
  }

  #initialize(checkpointId: number): void {
    const restoredCheckpointId = checkpointId === 0 ? undefined : checkpointId
    try {
      this.fn.initializeState?.(withStore<FunctionInitializationContext>(this.#backend, { restoredCheckpointId }))
    } catch (thrown) {
      throw userError(thrown, this.context, 'initializeState')
    }
  }

  /** The elements of all its states. Throws STATE_UNSERIALISABLE, and USER_FUNCTION for what the function throws. */
  snapshot(checkpointId: number): readonly unknown[] {
    return this.#afterHook(checkpointId, () => this.#backend.snapshot())
  }

  /** What changed in its states since the last call, or since it was initialised. Throws as `snapshot` does. */
  takeChanges(checkpointId: number): readonly NamedStateChange[] {
    return this.#afterHook(checkpointId, () => this.#backend.takeChanges())
  }

  #afterHook<R>(checkpointId: number, take: () => R): R {
    try {
      this.fn.snapshotState?.(withStore(this.#backend, { checkpointId }))
      return take()
    } catch (thrown) {
      throw userError(thrown, this.context, 'snapshotState')
    }
  }
}

/** Changes of the named states that make up an operator's state, as `StreamOperator.takeStateChanges` gives them. */
export function namedChanges(...changes: readonly (readonly NamedStateChange[])[]): OperatorStateChanges | undefined {
  const named = changes.flat()
  return named.length === 0 ? undefined : { named }
}

/** Gives a user function its operator state, then opens it. */
export function openFunction(
  fn: RichFunction & Partial<CheckpointedFunction>,
  context: OperatorContext,
  restored: readonly unknown[],
): FunctionState | undefined {
  const state = FunctionState.of(fn, context, restored)
  fn.open?.(context.runtime)
  return state
}

function withStore<C extends object>(backend: OperatorStateBackend, fields: Omit<C, keyof OperatorStateBackend>): C {
  return {
    ...fields,
    getListState: backend.getListState.bind(backend),
    getUnionListState: backend.getUnionListState.bind(backend),
    getBroadcastState: backend.getBroadcastState.bind(backend),
    getBroadcastListState: backend.getBroadcastListState.bind(backend),
  } as unknown as C
}
