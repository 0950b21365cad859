import type { Successor } from '../ports/index.js'
import type { JobRecord, LeavingSubtask, ManifestRef, PendingStageCheckpoint, RegisteredSplit, SubtaskControl } from './job-record.js'

/**
 * The decisions over the job record, as pure functions: the record and facts in, the record that is to replace it out. Whoever loses the
 * replacement reads the record again and decides again, so each decision also says that there is nothing (more) to do. Times are epoch ms, of
 * clocks that may differ by minutes.
 *
 * J1 At most one checkpoint is pending.
 * J2 Ids of checkpoints rise, over attempts and revisions too; `begun`, `aborted` and `completed` never go back.
 * J3 A checkpoint leaves `pending` once: completed, or aborted. An aborted id never completes.
 * J4 A manifest is written only while its checkpoint is `completing`, from where the only way is to completed. So a manifest in the blob store
 *    is that of a checkpoint that has completed or will, and never of an aborted one; but whether it has, only the record says.
 * J5 The attempt rises by one with each restore, and with nothing else.
 * J6 A split registers at most once in an attempt, with an ordinal of its own, and only while the job runs.
 * J7 What registers after `begun` became n begins at epoch n, and n does not need it.
 * J8 Every subtask of a former attempt is reset or, while the job is restoring, among the `leaving`.
 */

/** `put`: replace the record with this one. `keep`: it says so already. */
export type Decision = { readonly kind: 'put'; readonly record: JobRecord } | { readonly kind: 'keep' } | Refusal

export interface Refusal {
  readonly kind: 'refused'
  readonly why: string
}

/** Source subtasks of a new attempt, by stage, in the order of their ordinals. */
export type SplitsByStage = Readonly<Record<string, readonly Successor[]>>

/** What a new attempt consists of. */
export interface RestoreFacts {
  readonly job: string
  readonly revision: string
  readonly plan: string
  readonly from: ManifestRef | null
  readonly sources: SplitsByStage
  /** The greatest id in the job's checkpoint folder, 0 for none: a job that was removed and comes back must not write over it. */
  readonly newestId: number
  /** Of a job that has not run yet; at least 1. */
  readonly firstAttempt: number
  /** Subtasks without source of this revision, and of that which it replaces if that is another. */
  readonly inner: readonly Omit<LeavingSubtask, 'revision'>[]
  readonly formerInner: readonly Omit<LeavingSubtask, 'revision'>[]
}

/** The record of a job that has not run yet. */
export function startJob(facts: RestoreFacts): JobRecord {
  const { job, revision, plan, from, sources, newestId, firstAttempt } = facts
  const begun = Math.max(newestId, from?.checkpointId ?? 0)
  const { registered, nextOrdinal } = register(sources, begun)
  return {
    format: 1,
    job,
    revision,
    plan,
    attempt: firstAttempt,
    firstAttempt,
    phase: 'restoring',
    from,
    begun,
    aborted: 0,
    abortedWhy: null,
    completed: from?.checkpointId ?? 0,
    last: from,
    dropped: 0,
    droppedSavepoints: [],
    pending: null,
    sources: registered,
    nextOrdinal,
    writers: writersOf(nextOrdinal, facts),
    leaving: [],
  }
}

/** A new attempt from a manifest (or from nothing). Refused while a checkpoint is completing: that is to be finished first. */
export function decideRestore(record: JobRecord | undefined, facts: RestoreFacts): Decision {
  if (record === undefined) return { kind: 'put', record: startJob(facts) }
  const { pending } = record
  if (pending?.completing === true) return refused(`checkpoint ${pending.id} is being completed`)
  const { job, revision, plan, from, sources, newestId } = facts
  const begun = Math.max(record.begun, newestId, from?.checkpointId ?? 0)
  const { registered, nextOrdinal } = register(sources, begun)
  return {
    kind: 'put',
    record: {
      format: 1,
      job,
      revision,
      plan,
      attempt: record.attempt + 1,
      firstAttempt: record.firstAttempt,
      phase: 'restoring',
      from,
      begun,
      aborted: pending?.id ?? record.aborted,
      abortedWhy: pending === null ? record.abortedWhy : 'the job was restored',
      completed: Math.max(record.completed, from?.checkpointId ?? 0),
      last: from,
      dropped: record.dropped,
      droppedSavepoints: record.droppedSavepoints,
      pending: null,
      sources: registered,
      nextOrdinal,
      writers: Math.max(record.writers, writersOf(nextOrdinal, facts)),
      leaving: leavingOf(record, facts),
    },
  }
}

function writersOf(nextOrdinal: number, { inner, formerInner }: RestoreFacts): number {
  return [...inner, ...formerInner].reduce((most, { subtask }) => Math.max(most, Number(subtask) + 1), nextOrdinal)
}

function register(sources: SplitsByStage, epoch: number): { readonly registered: JobRecord['sources']; readonly nextOrdinal: number } {
  let nextOrdinal = 0
  const registered: Record<string, Record<string, RegisteredSplit>> = {}
  for (const [stage, splits] of Object.entries(sources)) {
    registered[stage] = {}
    for (const { splitId, parents } of splits) registered[stage][splitId] = { ordinal: nextOrdinal++, epoch, parents: [...parents] }
  }
  return { registered, nextOrdinal }
}

/** A restore that was cut short may have left some, of this or of another revision. */
function leavingOf(record: JobRecord, { revision, sources, inner, formerInner }: RestoreFacts): readonly LeavingSubtask[] {
  const former = [
    ...record.leaving,
    ...Object.entries(record.sources).flatMap(([stage, splits]) =>
      Object.keys(splits).map((subtask) => ({ revision: record.revision, stage, subtask })),
    ),
    ...(record.revision === revision ? [] : formerInner.map(({ stage, subtask }) => ({ revision: record.revision, stage, subtask }))),
  ]
  const nameOf = ({ stage, subtask }: Omit<LeavingSubtask, 'revision'>) => `${stage}/${subtask}`
  const staying = new Set(inner.map(nameOf))
  for (const [stage, splits] of Object.entries(sources)) for (const { splitId } of splits) staying.add(nameOf({ stage, subtask: splitId }))
  const leaving = former.filter((subtask) => subtask.revision !== revision || !staying.has(nameOf(subtask)))
  return [...new Map(leaving.map((subtask) => [`${subtask.revision}/${nameOf(subtask)}`, subtask])).values()]
}

/** All logs of the attempt have been reset, and all others retired. */
export function decideRunning(record: JobRecord, attempt: number): Decision {
  if (record.attempt !== attempt) return refused(`attempt ${record.attempt} has begun`)
  if (record.phase !== 'restoring') return { kind: 'keep' }
  return { kind: 'put', record: { ...record, phase: 'running', leaving: [] } }
}

/** `need`: ordinals of all subtasks, those of registered splits among them. Those that have ended are told when it is to complete. */
export function decideBegin(record: JobRecord, kind: PendingStageCheckpoint['kind'], need: readonly number[], now: number): Decision {
  if (record.phase !== 'running') return refused(record.phase === 'stopped' ? 'the job has stopped' : 'the job is being restored')
  if (record.pending !== null) return refused(`checkpoint ${record.pending.id} is in progress`)
  const id = record.begun + 1
  return { kind: 'put', record: { ...record, begun: id, pending: { id, kind, startedAtMs: now, need, completing: false } } }
}

/** Ordinals whose word on the pending checkpoint is missing. An end counts for every checkpoint after its epoch. */
export function missingAcks(pending: PendingStageCheckpoint, acks: ReadonlySet<number>, ended: ReadonlyMap<number, number>): readonly number[] {
  return pending.need.filter((ordinal) => !acks.has(ordinal) && !((ended.get(ordinal) ?? Number.POSITIVE_INFINITY) < pending.id))
}

/**
 * Whether the pending checkpoint can be completed. `acks`: ordinals of those that have acknowledged it. `ended`: the epoch of those that have
 * ended in this attempt, by ordinal. After `put` or `keep` its manifest is to be written, then {@link decideCompleted}.
 */
export function decideComplete(record: JobRecord, id: number, acks: ReadonlySet<number>, ended: ReadonlyMap<number, number>): Decision {
  const { pending } = record
  if (pending === null || pending.id !== id) return refused(`checkpoint ${id} is not pending`)
  if (pending.completing) return { kind: 'keep' }
  const missing = missingAcks(pending, acks, ended).length
  if (missing > 0) return refused(`${missing} of ${pending.need.length} acknowledgements are missing`)
  return { kind: 'put', record: { ...record, pending: { ...pending, completing: true } } }
}

/** The manifest of the completing checkpoint is there. `keep`: it is the last that completed. */
export function decideCompleted(record: JobRecord, id: number): Decision {
  const { pending } = record
  if (pending === null || pending.id !== id) return record.completed === id ? { kind: 'keep' } : refused(`checkpoint ${id} is not pending`)
  if (!pending.completing) return refused(`checkpoint ${id} still waits for acknowledgements`)
  const last = { checkpointId: id, savepoint: pending.kind !== 'checkpoint' }
  return { kind: 'put', record: { ...record, completed: id, last, pending: null, phase: pending.kind === 'stop' ? 'stopped' : record.phase } }
}

/** Refused when it is completing or has completed; `keep` when it has been aborted. */
export function decideAbort(record: JobRecord, id: number, why: string): Decision {
  const { pending } = record
  if (pending !== null && pending.id === id) {
    if (pending.completing) return refused(`checkpoint ${id} is being completed`)
    return { kind: 'put', record: { ...record, aborted: id, abortedWhy: why, pending: null } }
  }
  return record.aborted === id ? { kind: 'keep' } : refused(`checkpoint ${id} is not pending`)
}

/** Aborts what has waited for `timeoutMs`. */
export function onTimeout(record: JobRecord, timeoutMs: number, now: number): Decision {
  const { pending } = record
  if (pending === null || pending.completing || now < pending.startedAtMs + timeoutMs) return { kind: 'keep' }
  return decideAbort(record, pending.id, `it was not complete after ${timeoutMs} ms`)
}

export interface Registration {
  readonly attempt: number
  readonly stage: string
  readonly split: Successor
  /** Of whoever registers: one of another deployment is refused whatever its attempt. */
  readonly revision?: string
}

/** After `put` or `keep`, {@link registeredAs} says as what. */
export function decideRegister(record: JobRecord, { attempt, stage, split, revision }: Registration): Decision {
  if (record.attempt !== attempt) return refused(`the job is at attempt ${record.attempt}`)
  if (revision !== undefined && record.revision !== revision) return refused(`the job is at revision ${record.revision}`)
  if (record.phase === 'restoring') return refused('the job is being restored')
  const splits = record.sources[stage]
  if (splits === undefined) return refused(`stage "${stage}" is no source of the job`)
  if (Object.hasOwn(splits, split.splitId)) return { kind: 'keep' }
  // Its parents cannot have ended after the barrier of the stop, and those that ended before it have begun it.
  if (record.phase === 'stopped') return refused('the job has stopped')
  const registered: RegisteredSplit = { ordinal: record.nextOrdinal, epoch: record.begun, parents: [...split.parents] }
  const sources = { ...record.sources, [stage]: { ...splits, [split.splitId]: registered } }
  const nextOrdinal = record.nextOrdinal + 1
  return { kind: 'put', record: { ...record, sources, nextOrdinal, writers: Math.max(record.writers, nextOrdinal) } }
}

/** `stopped`: the barrier that its first frames are is a stop, so it begins stopped. */
export function registeredAs(
  record: JobRecord,
  stage: string,
  splitId: string,
): { readonly epoch: number; readonly ordinal: number; readonly stopped: boolean } | undefined {
  const split = record.sources[stage]?.[splitId]
  if (split === undefined) return undefined
  const { epoch, ordinal } = split
  return { epoch, ordinal, stopped: epoch === record.begun && controlOf(record).stop }
}

/** What the subtasks are to be told. */
export function controlOf({ attempt, begun, aborted, completed, pending, phase }: JobRecord): SubtaskControl {
  return {
    attempt,
    begun,
    stop: pending?.kind === 'stop' || phase === 'stopped',
    savepoint: (pending?.kind ?? 'checkpoint') !== 'checkpoint',
    aborted,
    completed,
  }
}

function refused(why: string): Refusal {
  return { kind: 'refused', why }
}
