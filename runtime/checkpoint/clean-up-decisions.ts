import type { Decision } from './job-decisions.js'
import type { JobRecord, ManifestRef } from './job-record.js'
import type { Manifest } from './manifest.js'

/**
 * What clean-up may delete, as pure functions.
 *
 * C1 A checkpoint is dropped in the job record first ({@link JobRecord.dropped}), by the same conditional replacement that begins an attempt. So
 *    either the attempt comes first, and what it begins with stays, or the drop does, and no attempt begins with it any more. Of savepoints the record
 *    names those that were dropped last; older ones have no manifest any more.
 * C2 What has no name any more (in no base of a log, no acknowledgement that counts, no manifest that stays) is never named again but by
 *    somebody who holds the name in memory. A blob goes when it was found so, and was still found so the grace period later: whoever held it is gone.
 */

export interface DropDecision {
  /** Ids to drop, ascending. Those below them that stay are savepoints, or what the attempt began with. */
  readonly dropped: readonly number[]
  /** Ids of savepoints to drop. */
  readonly savepoints: readonly number[]
  readonly staying: readonly Manifest[]
}

/**
 * The newest `keep` completed checkpoints stay, and savepoints, and what the attempt began with or would go on from, and what is being completed; the rest goes.
 * `expendable`: ids of savepoints that nobody asked for.
 */
export function decideDrops(
  manifests: readonly Manifest[],
  { completed, from, last }: Pick<JobRecord, 'completed' | 'from' | 'last'>,
  keep: number,
  expendable: readonly number[] = [],
): DropDecision {
  const checkpoints = manifests.filter(({ checkpointId, kind }) => checkpointId <= completed && kind !== 'savepoint')
  const ids = checkpoints.map(({ checkpointId }) => checkpointId).sort((a, b) => a - b)
  const dropped = ids.slice(0, Math.max(0, ids.length - keep)).filter((id) => !isFrom(from, id))
  const staying = manifests.filter(({ checkpointId, kind }) => kind === 'savepoint' || !dropped.includes(checkpointId))
  const savepoints = staying
    .filter(({ checkpointId: id, kind }) => kind === 'savepoint' && expendable.includes(id) && !isFrom(from, id) && !isFrom(last, id))
    .map(({ checkpointId }) => checkpointId)
  return { dropped, savepoints, staying: staying.filter(({ checkpointId }) => !savepoints.includes(checkpointId)) }
}

/** `upTo`: the newest that is to be dropped, decided in this attempt; `savepoints`: those. Refused when another has begun, or is about to. */
export function decideDrop(record: JobRecord, upTo: number, attempt: number, savepoints: readonly number[] = []): Decision {
  if (record.attempt !== attempt || record.phase === 'restoring') return { kind: 'refused', why: `attempt ${record.attempt} has begun` }
  const droppedSavepoints = savepoints.length === 0 ? record.droppedSavepoints : savepoints
  if (upTo <= record.dropped && droppedSavepoints.every((id) => record.droppedSavepoints.includes(id))) return { kind: 'keep' }
  return { kind: 'put', record: { ...record, dropped: Math.max(upTo, record.dropped), droppedSavepoints } }
}

/** Whether nothing may begin with this checkpoint any more: its blobs may be gone. */
export function isDropped(
  { dropped, droppedSavepoints, from }: Pick<JobRecord, 'dropped' | 'droppedSavepoints' | 'from'>,
  { checkpointId, savepoint, root }: ManifestRef,
): boolean {
  if (root !== undefined || isFrom(from, checkpointId)) return false
  return savepoint ? droppedSavepoints.includes(checkpointId) : checkpointId <= dropped
}

function isFrom(from: ManifestRef | null, id: number): boolean {
  return from !== null && from.root === undefined && from.checkpointId === id
}

/** Blobs that nothing named, by when that was first seen, epoch ms. Plain data. */
export type Unreferred = ReadonlyMap<string, number>

/** `due`: unreferred for as long as the grace period; they may be deleted. */
export function decideDeletions(
  names: readonly string[],
  referred: ReadonlySet<string>,
  before: Unreferred,
  nowMs: number,
  graceMs: number,
): { readonly due: readonly string[]; readonly waiting: Map<string, number> } {
  const due: string[] = []
  const waiting = new Map<string, number>()
  for (const name of names) {
    if (referred.has(name)) continue
    const since = before.get(name) ?? nowMs
    if (nowMs - since >= graceMs) due.push(name)
    else waiting.set(name, since)
  }
  return { due, waiting }
}
