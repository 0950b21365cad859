import { MillraceError } from '../core/index.js'
import type { SplitInfo, Successor } from '../ports/index.js'
import type { SplitsByStage } from './job-decisions.js'
import type { RegisteredSplit } from './job-record.js'
import type { Manifest } from './manifest.js'
import type { SourcePosition } from './stage-ack.js'

/** Operator state of a stage's source in a manifest: one for each of its splits, by ordinal; where a reader had several splits, several. */
export type SplitState = SourcePosition & { readonly ended: boolean }

/** A source of the job that is about to run, and what its stream is known to consist of. */
export interface SourceToRestore {
  readonly stage: string
  /** Of its source operator. */
  readonly uid: string
  /** Logical name, for messages. */
  readonly stream: string
  readonly splits: readonly SplitInfo[]
}

/** A split as it stands at the beginning of an attempt. */
export interface RestoredSplit {
  readonly splitId: string
  readonly ordinal: number
  /** The last record that counts; decimal, or null for none. */
  readonly position: string | null
  readonly ended: boolean
  /** Of one that has ended: all that continue it, and those of them that have not begun because others of their parents have not ended. */
  readonly successors: readonly Successor[]
  readonly waiting: readonly Successor[]
  /** Its ordinal in the manifest, which several share that one reader had; undefined for one that begins anew. */
  readonly formerOrdinal: number | undefined
}

/**
 * The source subtasks of a new attempt.
 *
 * - Of a source that the manifest does not know (or without a manifest): the oldest splits, those without parents that are known. Their
 *   children begin when these have ended, closed or not.
 * - Of one that it knows: its splits, and those whose parents had all ended before the barrier, though they registered only behind it: to the
 *   receivers, as of the checkpoint, they have begun. They have read nothing that counts. One of whose parents had not ended begins again when
 *   these end again.
 * - An ended one goes when the stream no longer knows it and all that continue it are there: nothing of it can come any more.
 *
 * Throws SOURCE_FAILED when records that count may be gone from the stream, CHECKPOINT_OTHER_JOB for a source's state of another engine.
 */
export function splitsToRegister(manifest: Manifest | undefined, sources: readonly SourceToRestore[]): SplitsByStage {
  return Object.fromEntries(sources.map((source) => [source.stage, splitsOf(manifest, source)]))
}

function splitsOf(manifest: Manifest | undefined, source: SourceToRestore): readonly Successor[] {
  const listed = new Map(source.splits.map((split) => [split.splitId, split]))
  const former = splitStates(manifest, source.uid)
  if (former === undefined) {
    if (listed.size === 0) throw emptyStream(source)
    return source.splits.filter(({ parents }) => parents.every((parent) => !listed.has(parent))).map(({ splitId }) => ({ splitId, parents: [] }))
  }
  const states = new Map(former.map(({ state }) => [state.splitId, state]))
  const begun = new Map<string, Successor>()
  for (const { ended, successors } of states.values()) {
    for (const successor of ended ? successors : []) {
      if (!states.has(successor.splitId) && successor.parents.every((parent) => states.get(parent)?.ended === true))
        begun.set(successor.splitId, successor)
    }
  }
  const isThere = ({ splitId }: Successor) => states.has(splitId) || begun.has(splitId)
  const kept = [...states.values()].filter(
    ({ splitId, ended, successors }) => !ended || listed.has(splitId) || successors.length === 0 || !successors.every(isThere),
  )
  for (const { splitId } of [...kept.filter(({ ended }) => !ended), ...begun.values()])
    if (!listed.has(splitId)) throw expired(splitId, source, manifest)
  return [...kept.map(({ splitId }) => ({ splitId, parents: listed.get(splitId)?.parents ?? [] })), ...begun.values()]
}

/** The splits of a stage as the manifest has them, in the order of their ordinals. */
export function restoredSplits(
  manifest: Manifest | undefined,
  uid: string,
  registered: Readonly<Record<string, RegisteredSplit>>,
): readonly RestoredSplit[] {
  const former = new Map((splitStates(manifest, uid) ?? []).map(({ state, formerOrdinal }) => [state.splitId, { ...state, formerOrdinal }]))
  return Object.entries(registered)
    .map(([splitId, { ordinal }]): RestoredSplit => {
      const state = former.get(splitId)
      if (state === undefined) return { splitId, ordinal, position: null, ended: false, successors: [], waiting: [], formerOrdinal: undefined }
      const { position, ended, successors, formerOrdinal } = state
      return {
        splitId,
        ordinal,
        position,
        ended,
        successors,
        waiting: successors.filter((s) => !Object.hasOwn(registered, s.splitId)),
        formerOrdinal,
      }
    })
    .sort((a, b) => a.ordinal - b.ordinal)
}

/** In the order of ordinals; undefined when the manifest does not know the source. */
function splitStates(
  manifest: Manifest | undefined,
  uid: string,
): readonly { readonly formerOrdinal: number; readonly state: SplitState }[] | undefined {
  return manifest?.operators
    .find((operator) => operator.uid === uid)
    ?.subtasks.toSorted((a, b) => a.subtask - b.subtask)
    .flatMap(({ subtask, operatorState }) => operatorState.map((state) => ({ formerOrdinal: subtask, state: splitState(state, uid, manifest) })))
}

function splitState(state: unknown, uid: string, { kind, checkpointId }: Manifest): SplitState {
  const split = state as Partial<SplitState> | null
  if (typeof split?.splitId === 'string' && typeof split.ended === 'boolean' && Array.isArray(split.successors)) return split as SplitState
  throw new MillraceError('CHECKPOINT_OTHER_JOB', {
    what: `${kind} ${checkpointId} does not hold positions of splits as stages on AWS have them`,
    todo: 'Restore it where it was written, or give the source another uid, so that it starts anew.',
    uid,
  })
}

function emptyStream({ stream, uid }: SourceToRestore): MillraceError {
  return new MillraceError('SOURCE_FAILED', { what: `the stream "${stream}" has no splits`, todo: 'Create it with one shard or more.', uid })
}

function expired(splitId: string, { stream, uid }: SourceToRestore, manifest: Manifest | undefined): MillraceError {
  return new MillraceError('SOURCE_FAILED', {
    what: `split ${splitId} of stream "${stream}", which ${manifest?.kind} ${manifest?.checkpointId} goes on from, is older than the stream keeps records`,
    todo: 'Restore a newer checkpoint, or start the job anew; records between the checkpoint and now are gone from the stream.',
    uid,
  })
}
