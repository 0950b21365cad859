import { applyOperatorStateChanges, foldOperatorStateChanges, unpack } from '../state/index.js'
import { applyHeldChanges, isHeldChanges } from './held-batches.js'

/** Operator state by uid, after what commits have changed of it: packed `[uid, changes][]`, in the order of the commits. */
export function foldOperatorStates(
  before: ReadonlyMap<string, readonly unknown[]>,
  commits: readonly Uint8Array[],
): ReadonlyMap<string, readonly unknown[]> {
  const changes = new Map<string, unknown[]>()
  for (const packed of commits) {
    for (const [uid, change] of unpack(packed) as [string, unknown][]) {
      const known = changes.get(uid)
      if (known === undefined) changes.set(uid, [change])
      else known.push(change)
    }
  }
  const states = new Map(before)
  for (const [uid, ofUid] of changes) states.set(uid, folded(states.get(uid) ?? [], ofUid))
  return states
}

/** Those of a sink that holds batches are of a kind of their own. */
function folded(elements: readonly unknown[], changes: readonly unknown[]): readonly unknown[] {
  if (!changes.some(isHeldChanges)) return foldOperatorStateChanges(elements, changes)
  return changes.reduce<readonly unknown[]>(
    (state, change) => (isHeldChanges(change) ? applyHeldChanges(state, change) : applyOperatorStateChanges(state, change)),
    elements,
  )
}
