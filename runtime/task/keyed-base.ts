import type { CheckpointStore } from '../checkpoint/index.js'
import { readKeyedState } from '../checkpoint/keyed-restore.js'
import type { SegmentRef } from '../checkpoint/manifest.js'
import { inlineSegment } from '../checkpoint/segment-blobs.js'
import { decodeDeltas, deltaRows, type KeyedStateBackend, type KeyGroupRange, mergeSegments } from '../state/index.js'
import { type CompactionLimits, chooseCompaction, tooLarge } from './compaction-choice.js'
import type { LoggedState } from './logged-state.js'
import type { StageEvent } from './stage-ports.js'

export interface KeyedBasePlace extends CompactionLimits {
  readonly checkpoints: CheckpointStore
  /** Key groups of the subtask. */
  readonly range: KeyGroupRange
  readonly subtask: number
  readonly epoch: number
  /** Keyed state in memory, by operator, as it is with all changes. */
  readonly backends: ReadonlyMap<string, KeyedStateBackend>
  /** A segment that is larger gets a blob of its own. */
  readonly inlineBytes: number
  /** Where there are too many segments, those to be merged are merged at once if they have no more bytes than so. */
  readonly mergedBytes: number
  /** The segments are to stand alone: nothing of the base before is among them. */
  readonly whole: boolean
  readonly blockBytes: number
  /** How far event time had come for an operator: what was due has fired. */
  sweptTo(uid: string): number
  count(event: StageEvent): void
}

/**
 * Keyed state of a new base, by operator: the segments of the base before, and one with all that changed since. What is too small for a blob
 * stands inline, and is merged with what changes until the next base. It costs what changed, but where the state is to stand alone. State with
 * fewer rows than have changed is written whole, from memory.
 */
export async function nextKeyedBase(
  { base, tail }: LoggedState,
  deltas: readonly (readonly [uid: string, bytes: Uint8Array])[],
  place: KeyedBasePlace,
): Promise<ReadonlyMap<string, readonly SegmentRef[]>> {
  const uids = new Set([...base.keyed.keys(), ...tail.keys(), ...deltas.map(([uid]) => uid)])
  const keyed = new Map<string, readonly SegmentRef[]>()
  for (const uid of uids) {
    const changes = [...(tail.get(uid) ?? []), ...deltas.filter((delta) => delta[0] === uid).map(([, bytes]) => bytes)]
    const refs = await nextSegments(uid, base.keyed.get(uid) ?? [], changes, place)
    if (refs.length > 0) keyed.set(uid, refs)
  }
  return keyed
}

async function nextSegments(
  uid: string,
  before: readonly SegmentRef[],
  changes: readonly Uint8Array[],
  place: KeyedBasePlace,
): Promise<readonly SegmentRef[]> {
  const { checkpoints, range, whole, blockBytes, count } = place
  const standsAlone = before.length === 0 || (before.length === 1 && before[0].keyGroups === undefined)
  if (changes.length === 0 && (!whole || standsAlone)) return before
  const inMemory = place.backends.get(uid)
  if (inMemory !== undefined && isCheaper(inMemory, changes, place)) {
    count('base-from-memory')
    return withSegment(uid, [], inMemory.snapshotBlocks(blockBytes), place)
  }
  const kept = whole ? [] : keptBefore(before, changes, place)
  const merged = await readKeyedState(before.slice(kept.length), (ref) => checkpoints.readSegment(ref))
  merged.push(...decodeDeltas(changes.map((bytes) => ({ bytes, name: `a commit of operator ${uid}` }))))
  const bytes = mergeSegments(merged, range, { bottom: kept.length === 0, sweptTo: place.sweptTo(uid), blockBytes })
  if (kept.length > 0) count('incremental-base')
  return withSegment(uid, kept, bytes, place)
}

/** Of few rows that changed again and again all are sooner written than their changes are merged; few changes fit into the base as they are. */
function isCheaper(inMemory: KeyedStateBackend, changes: readonly Uint8Array[], { whole, inlineBytes }: KeyedBasePlace): boolean {
  if (!inMemory.holdsWholeState) return false
  if (whole) return true
  const changedBytes = changes.reduce((sum, { length }) => sum + length, 0)
  return changedBytes > inlineBytes && 2 * inMemory.rows <= changes.reduce((sum, bytes) => sum + deltaRows(bytes), 0)
}

async function withSegment(
  uid: string,
  kept: readonly SegmentRef[],
  bytes: Uint8Array | undefined,
  { checkpoints, subtask, epoch, inlineBytes, count }: KeyedBasePlace,
): Promise<readonly SegmentRef[]> {
  if (bytes === undefined) return kept
  if (bytes.length > inlineBytes) return [...kept, await checkpoints.writeSegment(uid, subtask, epoch, bytes)]
  count('inline-segment')
  return [...kept, inlineSegment(bytes)]
}

/** What goes on into the next base: not what stood inline, and not what is merged with the changes because there are too many segments. */
function keptBefore(before: readonly SegmentRef[], changes: readonly Uint8Array[], place: KeyedBasePlace): readonly SegmentRef[] {
  const settled = before.at(-1)?.inline === undefined ? before : before.slice(0, -1)
  const changed = changes.reduce((sum, { length }) => sum + length, 0)
  const sizes = [...settled.map(({ bytes }) => bytes), changed]
  if (tooLarge(sizes, place) > place.mostSegments) place.count('segments-too-large')
  const run = chooseCompaction(sizes, place)
  if (run?.to !== sizes.length || settled.slice(run.from).reduce((sum, { bytes }) => sum + bytes, 0) > place.mergedBytes) return settled
  place.count('compacted-at-cut')
  return settled.slice(0, run.from)
}
