import { MillraceError } from '../core/index.js'
import { type DecodedSegment, type KeyGroupRange, keyGroupOf, keyGroupRange, subtaskOfKeyGroup, toInternalKey } from '../state/index.js'
import { rowsByState } from '../state/merged-rows.js'
import { RestoredRows } from '../state/restored-rows.js'
import { readKeyedState } from './keyed-restore.js'
import type { Manifest, OperatorState, SegmentRef } from './manifest.js'
import { planRestore } from './restore-plan.js'

/** Keyed state of an operator by the name of the state, as it was written: without the job's code, so without its serdes. */
export type OperatorRows = ReadonlyMap<string, RestoredRows>

/** Where an operator keeps a key. */
export interface KeyPlace {
  readonly keyGroup: number
  readonly subtask: number
}

/** Throws KEY_INVALID. */
export function placeOfKey(key: unknown, { maxParallelism, parallelism }: Pick<OperatorState, 'maxParallelism' | 'parallelism'>): KeyPlace {
  const keyGroup = keyGroupOf(toInternalKey(key), maxParallelism)
  return { keyGroup, subtask: subtaskOfKeyGroup(keyGroup, maxParallelism, parallelism) }
}

/** The operator with this uid. Throws OPTION_INVALID, naming those that there are. */
export function operatorOf({ operators, kind, checkpointId }: Manifest, uid: string): OperatorState {
  const operator = operators.find((one) => one.uid === uid)
  if (operator !== undefined) return operator
  throw new MillraceError('OPTION_INVALID', {
    what: `${kind} ${checkpointId} holds no operator with the uid "${uid}"`,
    todo: `Give one of ${operators.map((one) => `"${one.uid}"`).join(', ')}.`,
  })
}

/**
 * Rows of one operator of a checkpoint, of all key groups or of one. Reads the segments that hold them.
 * Throws CHECKPOINT_CORRUPT, CHECKPOINT_VERSION.
 */
export async function readOperatorRows(
  manifest: Manifest,
  operator: OperatorState,
  readSegment: (ref: SegmentRef) => Promise<Uint8Array>,
  keyGroup?: number,
): Promise<OperatorRows> {
  const { uid, maxParallelism } = operator
  const range = keyGroup === undefined ? keyGroupRange(0, maxParallelism, 1) : { first: keyGroup, last: keyGroup }
  const shares = sharesOf(manifest, operator).filter(
    ({ keyGroups }) => keyGroups === undefined || (keyGroups.first <= range.last && keyGroups.last >= range.first),
  )
  if (shares.length === 0) return new Map()
  return foldRows(await readKeyedState(shares, readSegment), range, uid)
}

/** As if one subtask took over all of them. */
function sharesOf(manifest: Manifest, { uid, maxParallelism }: OperatorState): readonly SegmentRef[] {
  const plan = planRestore(manifest, manifest.job, [{ uid, parallelism: 1, maxParallelism }], { allowNonRestoredState: true })
  return plan.operators.get(uid)?.subtasks[0].keyed ?? []
}

/** What segments, given in the order in which they were written, say together of some key groups. */
export function foldRows(segments: readonly DecodedSegment[], range: KeyGroupRange, uid: string): OperatorRows {
  return rowsByState(segments, range, (info) => new RestoredRows(info), uid)
}
