import { MillraceError } from '../../core/index.js'
import { pack, structuralFault, unpack } from '../../state/index.js'
import type { OperatorContext } from '../stream-operator.js'
import { type Pending, PendingElement } from './pending-element.js'

/** One pending item in operator state. A watermark tells how many subtasks there were: with others it means nothing. */
export type PendingState =
  | { readonly kind: 'async-element'; readonly value: unknown; readonly timestamp: number }
  | { readonly kind: 'async-watermark'; readonly watermark: number; readonly parallelism: number }

/** A copy, because the function may change the element while its call is pending. Throws STATE_UNSERIALISABLE. */
export function pendingState(item: Pending<unknown, unknown>, context: OperatorContext): PendingState {
  if (typeof item === 'number') return { kind: 'async-watermark', watermark: item, parallelism: context.parallelism }
  const fault = structuralFault(item.value)
  if (fault === undefined) return { kind: 'async-element', value: unpack(pack(item.value)), timestamp: item.timestamp }
  throw new MillraceError('STATE_UNSERIALISABLE', {
    what: `an element whose asynchronous call is pending cannot be serialised: ${fault}`,
    where: `operator "${context.name}" (uid ${context.uid})`,
    todo: 'Keep the elements of the stream plain data.',
    uid: context.uid,
  })
}

export function isPendingState(state: unknown): state is PendingState {
  const kind = typeof state === 'object' && state !== null ? (state as { readonly kind?: unknown }).kind : undefined
  return kind === 'async-element' || kind === 'async-watermark'
}

/**
 * Dealt out to another number of subtasks, a watermark would stand before elements it does not belong to, and make them late: the input's
 * next watermarks do instead.
 */
export function restoredPending<In, Out>(state: PendingState, parallelism: number): Pending<In, Out>[] {
  if (state.kind === 'async-element') return [new PendingElement<In, Out>(state.value as In, state.timestamp)]
  return state.parallelism === parallelism ? [state.watermark] : []
}
