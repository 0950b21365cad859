import { checkpointIdOfSegment } from './checkpoint-names.js'
import { type Manifest, segmentsOf } from './manifest.js'

export interface RetentionFacts {
  /** Checkpoints in the folder (no savepoints); `manifest` is undefined when it cannot be read. */
  readonly checkpoints: readonly { readonly id: number; readonly manifest: Manifest | undefined }[]
  /** A savepoint at the root of the same folder: it keeps its segments. `unreadable` when there is one that cannot be read. */
  readonly savepoint: Manifest | 'unreadable' | undefined
  /** Names of all segments in the folder, read before `inUse`. */
  readonly segments: readonly string[]
  /** Names of segments that the running job builds on or has written for checkpoints in progress. */
  readonly inUse: ReadonlySet<string>
  /** The oldest checkpoint in progress: what was written for it or a later one stays, acknowledged or not. */
  readonly inProgressFrom?: number | undefined
  /** How many readable checkpoints stay. */
  readonly keep: number
}

export interface RetentionDecision {
  /** Checkpoints to drop. Their manifests go first: a crash in between leaves segments without a manifest, which the next time drops. */
  readonly checkpoints: readonly number[]
  readonly segments: readonly string[]
}

/**
 * The newest `keep` readable checkpoints stay, and those newer than them that cannot be read, and savepoints that stand among them; the rest
 * goes. A segment goes
 * when nothing that stays names it, it is not in use, and it was written for a checkpoint no newer than the newest completed
 * one: newer ones may be of a checkpoint that is being written now.
 */
export function decideRetention(facts: RetentionFacts): RetentionDecision {
  const newestFirst = facts.checkpoints.toSorted((a, b) => b.id - a.id)
  const kept = new Set(newestFirst.filter((c) => c.manifest?.kind === 'checkpoint').slice(0, facts.keep))
  const oldestKept = Math.min(...[...kept].map((c) => c.id))
  const dropped = newestFirst.filter((c) => !kept.has(c) && c.manifest?.kind !== 'savepoint' && (c.manifest !== undefined || c.id < oldestKept))
  const staying = newestFirst.filter((c) => !dropped.includes(c))
  const checkpoints = dropped.map((c) => c.id).reverse()
  // What an unreadable manifest names is not known, so nothing may go while it stays.
  if (facts.savepoint === 'unreadable' || staying.some((c) => c.manifest === undefined)) return { checkpoints, segments: [] }
  const named = new Set(facts.inUse)
  const manifests = staying.map((c) => c.manifest as Manifest)
  if (facts.savepoint !== undefined) manifests.push(facts.savepoint)
  for (const manifest of manifests) for (const ref of segmentsOf(manifest)) named.add(ref.name)
  const newestCompleted = newestFirst.find((c) => c.manifest !== undefined)?.id ?? -1
  const inProgressFrom = facts.inProgressFrom ?? Number.POSITIVE_INFINITY
  const segments = facts.segments.filter((name) => {
    const id = checkpointIdOfSegment(name)
    return id !== undefined && id <= newestCompleted && id < inProgressFrom && !named.has(name)
  })
  return { checkpoints, segments }
}
