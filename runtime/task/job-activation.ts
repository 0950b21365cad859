import { isDropped } from '../checkpoint/clean-up-decisions.js'
import type { CheckpointStore, Manifest, RestorePlan } from '../checkpoint/index.js'
import { controlOf, decideRestore, decideRunning, type RestoreFacts } from '../checkpoint/job-decisions.js'
import type { JobRecord, LeavingSubtask, ManifestRef } from '../checkpoint/job-record.js'
import { type RestoredSplit, restoredSplits, splitsToRegister } from '../checkpoint/split-restore.js'
import { planStageRestore } from '../checkpoint/stage-restore.js'
import { MillraceError } from '../core/index.js'
import type { JobGraph } from '../plan/index.js'
import { pack } from '../state/index.js'
import { type BaseState, encodeBase } from './base-state.js'
import { type CommitRecord, encodeCommit, type Part, type PartPlace, partPlace, storePart } from './commit-record.js'
import type { JobControlOptions } from './job-control.js'
import { fencedHead } from './job-fence.js'
import { readJob, replaceJob, type StoredJob, updateJob } from './job-log.js'
import { allSubtasks, innerSubtasks, tell } from './job-subtasks.js'
import { planStarts, type ResetPlace, resetRecord, retiredRecord, type SubtaskStart } from './reset-record.js'
import { endedPlace, storeAck } from './stage-acks.js'
import { type Deployment, endedLogName, hasSource, subtaskLogName } from './stage-names.js'
import { DEFAULT_STAGE_SETTINGS } from './stage-settings.js'

export interface ActivateOptions {
  /** What to begin with; null: with nothing; `last-state`: what the attempt goes on from that is superseded (`last` of its record), for one that cannot be stopped. */
  readonly from: ManifestRef | null | 'last-state'
  /** The attempt that may be superseded, 0 for a job that has not run: with it the same call may be repeated however far it came. */
  readonly expected?: number
  /** The deployment that ran before, when it is another revision: its logs are retired. */
  readonly retire?: Deployment & { readonly graph: JobGraph }
  /** The store that holds the manifest, when it is not in the job's own: its segments are copied, and nothing in it is changed. */
  readonly store?: CheckpointStore
  /** State of operators that the job lacks is left behind. */
  readonly allowNonRestoredState?: boolean
}

/**
 * Begins an attempt: the first, a restore, a fork, a deployment of another revision.
 *
 * R1 The job record says `restoring` before any log is touched, so nothing registers and no checkpoint begins meanwhile.
 * R2 Every log of a former attempt gets a commit of the new attempt, which fences whoever still writes to it: subtasks that leave are retired,
 *    the others reset, receivers before senders, sources last. So a frame of the new attempt never finds a receiver of the old one for good.
 * R3 What is put into a log follows from the job record and the manifest alone. Every step may be repeated, by others too.
 * R4 Who finds a log of a later attempt stops: another activation has superseded this one.
 */
export class JobActivation {
  constructor(
    readonly options: JobControlOptions,
    readonly request: ActivateOptions,
    /** Completes the checkpoint that is completing, for a record of this revision or the one that is to be retired. */
    readonly finish: (stored: StoredJob, graph: JobGraph) => Promise<void>,
  ) {}

  /** Throws ACTIVATION_REFUSED, and what the manifest, the plan or the streams are at fault for. */
  async run(): Promise<JobRecord> {
    const { deployment, graph, ports } = this.options
    for (;;) {
      const before = await readJob(ports, deployment.job)
      if (before !== undefined && this.#isOurs(before.record)) {
        ports.count(before.record.phase === 'restoring' ? 'activation-resumed' : 'activation-repeated')
        return before.record.phase === 'restoring' ? this.#reset(before, await this.#manifest(before.record.from)) : this.#begun(before)
      }
      this.#mayFollow(before?.record)
      if (before?.record.pending?.completing === true) {
        await this.finish(before, this.#graphOf(before.record))
        continue
      }
      const from = this.request.from === 'last-state' ? (before?.record.last ?? null) : this.request.from
      const manifest = await this.#manifest(from)
      const facts = await this.#facts(before?.record, from, manifest)
      // State that the plan has no place for is found out before anything is done.
      if (manifest !== undefined) this.#plan(manifest, graph, new Map())
      const decision = decideRestore(before?.record, facts)
      if (decision.kind !== 'put') continue
      const stored = await replaceJob(ports, decision.record, before?.serial ?? 0)
      if (stored === undefined) continue
      ports.count('attempt-begun')
      return this.#reset(stored, manifest)
    }
  }

  // --- whether it may ----------------------------------------------------------------------------------------------------

  /** The attempt that this very call (or the same one before it) has begun. */
  #isOurs({ attempt, firstAttempt, phase, revision, plan, from }: JobRecord): boolean {
    const { deployment } = this.options
    const { expected, from: wanted } = this.request
    if (revision !== deployment.revision || plan !== deployment.plan || (wanted !== 'last-state' && !isSame(from, wanted))) return false
    if (expected === undefined) return phase === 'restoring' || wanted === null
    return attempt === (expected === 0 ? firstAttempt : expected + 1)
  }

  #mayFollow(record: JobRecord | undefined): void {
    const { deployment } = this.options
    const { expected, from, retire } = this.request
    const attempt = record?.attempt ?? 0
    if (expected !== undefined && attempt !== expected)
      throw refused(deployment, `the job is at attempt ${attempt}, and attempt ${expected} was to be superseded`)
    if (record === undefined) return
    if (from !== null && from !== 'last-state' && isDropped(record, from))
      throw refused(deployment, `checkpoint ${from.checkpointId} has been cleaned up`)
    if (expected === undefined && from === null) throw refused(deployment, 'the job has run already, and all its state would be lost')
    if (record.revision !== deployment.revision && record.revision !== retire?.revision) {
      throw refused(deployment, `revision "${record.revision}" of the job is active, and was not named as the one to retire`)
    }
  }

  #graphOf({ revision }: JobRecord): JobGraph {
    const { deployment, graph } = this.options
    return revision === deployment.revision ? graph : (this.request.retire?.graph as JobGraph)
  }

  // --- what there is to restore ------------------------------------------------------------------------------------------

  async #manifest(from: ManifestRef | null): Promise<Manifest | undefined> {
    const { store = this.options.ports.checkpoints } = this.request
    if (from === null) return undefined
    const inFolder = !from.savepoint || (await store.ids()).includes(from.checkpointId)
    const manifest = await store.load(inFolder ? from.checkpointId : 'savepoint')
    if (manifest.checkpointId === from.checkpointId) return manifest
    throw new MillraceError('CHECKPOINT_NOT_FOUND', {
      what: `there is no savepoint ${from.checkpointId}, only one of id ${manifest.checkpointId}`,
      where: store.root,
      todo: 'List what is there: millrace checkpoints DIR.',
    })
  }

  async #facts(record: JobRecord | undefined, from: ManifestRef | null, manifest: Manifest | undefined): Promise<RestoreFacts> {
    const { deployment, graph, ports, sources, firstAttempt = 1 } = this.options
    const { retire } = this.request
    const toRestore = []
    for (const vertex of graph.vertices.filter(hasSource)) {
      const stream = sources[vertex.id]
      toRestore.push({ stage: vertex.id, uid: vertex.operators[0].uid, stream, splits: await ports.streams.splits(stream) })
    }
    const replaced = retire !== undefined && retire.revision === record?.revision ? innerSubtasks(retire.graph) : []
    return {
      ...deployment,
      from,
      sources: splitsToRegister(manifest, toRestore),
      newestId: (await ports.checkpoints.ids()).at(-1) ?? 0,
      firstAttempt,
      inner: innerSubtasks(graph).map(nameOf),
      formerInner: replaced.map(nameOf),
    }
  }

  #plan(manifest: Manifest, graph: JobGraph, splits: ReadonlyMap<string, readonly RestoredSplit[]>): RestorePlan {
    const { store, allowNonRestoredState = false } = this.request
    const job = store === undefined ? this.options.deployment.job : manifest.job
    return planStageRestore(manifest, graph, splits, { job, allowNonRestoredState })
  }

  // --- the steps ---------------------------------------------------------------------------------------------------------

  async #reset(stored: StoredJob, from: Manifest | undefined): Promise<JobRecord> {
    const { deployment, graph, ports, fenceSinks } = this.options
    const { record } = stored
    const { store } = this.request
    const manifest = from === undefined || store === undefined ? from : await ports.checkpoints.adopt(from, store, record.attempt)
    const splits = new Map(
      graph.vertices.filter(hasSource).map(({ id, operators }) => [id, restoredSplits(manifest, operators[0].uid, record.sources[id] ?? {})]),
    )
    const starts = planStarts(graph, splits)
    const plan = manifest && this.#plan(manifest, graph, splits)
    const place = { plan: record.plan, attempt: record.attempt, epoch: record.begun }
    for (const leaving of record.leaving) await this.#retire(leaving, place)
    for (const start of starts.filter(({ split }) => split === null).reverse()) await this.#resetLog(start, place, plan)
    await fenceSinks?.(record.attempt, record.writers)
    for (const start of starts.filter(({ split }) => split !== null)) await this.#resetLog(start, place, plan)
    await this.#letExpire(stored)
    const updated = await updateJob(ports, deployment.job, (newest) => decideRunning(newest, record.attempt))
    if (updated.kind === 'refused') throw superseded(deployment, updated.why)
    return this.#begun(updated.stored)
  }

  async #begun(stored: StoredJob): Promise<JobRecord> {
    const { graph, ports } = this.options
    await tell(ports, stored, allSubtasks(graph, stored.record), 'all')
    return stored.record
  }

  async #retire({ revision, stage, subtask }: LeavingSubtask, place: Omit<ResetPlace, 'atMs'>): Promise<void> {
    const log = subtaskLogName({ job: this.options.deployment.job, revision }, stage, subtask)
    await this.#appendOnce(log, place, async (head, version, atMs) => {
      this.options.ports.count('log-retired')
      return retiredRecord({ ...place, atMs }, head, version)
    })
  }

  /** What a subtask of a former revision was told last would stay in the table for good, when its log has long expired. */
  async #letExpire({ record, serial }: StoredJob): Promise<void> {
    const { log, clock } = this.options.ports
    const expiresAtMs = clock.now() + (this.options.logRetentionMs ?? DEFAULT_STAGE_SETTINGS.logRetentionMs)
    const payload = pack(controlOf(record))
    for (const { revision, stage, subtask } of record.leaving) {
      if (revision === record.revision) continue
      await log.putControl(subtaskLogName({ job: record.job, revision }, stage, subtask), { serial, payload, expiresAtMs })
    }
  }

  async #resetLog(start: SubtaskStart, place: Omit<ResetPlace, 'atMs'>, plan: RestorePlan | undefined): Promise<void> {
    const { deployment, ports } = this.options
    const { stage, subtask, ended, split } = start
    const log = subtaskLogName(deployment, stage, subtask)
    // In this attempt nobody else would say so.
    if (ended) await this.#sayEnded(start, place, plan)
    await this.#appendOnce(log, place, async (head, version, atMs) => {
      ports.count('log-reset')
      if (split !== null && plan !== undefined && split.formerOrdinal === undefined) ports.count('split-begun-by-restore')
      const part = partPlace(ports, log, version, DEFAULT_STAGE_SETTINGS.inlineBytes)
      return resetRecord({ ...place, atMs }, start, await this.#state(start, plan, part), head, version)
    })
  }

  /** What the subtask begins with, as a base and an acknowledgement hold it. */
  async #state(start: SubtaskStart, plan: RestorePlan | undefined, part: PartPlace): Promise<Part | null> {
    const { keyed, operatorStates } = stateOf(start, plan)
    if (keyed.size + operatorStates.size === 0) return null
    return storePart(part, encodeBase({ keyed, operatorStates }))
  }

  async #sayEnded(start: SubtaskStart, { attempt, epoch }: Omit<ResetPlace, 'atMs'>, plan: RestorePlan | undefined) {
    const { deployment, ports } = this.options
    const { stage, subtask, index, ordinal, split } = start
    const position = split === null ? null : { splitId: split.splitId, position: split.position, successors: split.successors }
    ports.count('ended-by-restore')
    // `lost`: it was said before.
    const log = endedLogName(deployment, attempt)
    const part = endedPlace(ports, attempt, ordinal, DEFAULT_STAGE_SETTINGS.inlineBytes)
    const ack = { checkpointId: epoch, stage, subtask, index, split: position, ended: true }
    const payload = await storeAck(part, ack, await this.#state(start, plan, part))
    await ports.log.append(log, { version: ordinal, payload })
  }

  /** Appends what the attempt puts into the log, once. Whoever commits meanwhile goes first. */
  async #appendOnce(
    log: string,
    { attempt }: Pick<ResetPlace, 'attempt'>,
    create: (head: CommitRecord | undefined, version: number, atMs: number) => Promise<CommitRecord>,
  ): Promise<void> {
    const { deployment, ports } = this.options
    for (;;) {
      const { item } = await ports.log.head(log)
      const head = item && fencedHead(log, item)
      if (head !== undefined && head.attempt > attempt) throw superseded(deployment, `attempt ${head.attempt} has begun`)
      if (head?.attempt === attempt) {
        ports.count('log-reset-before')
        return
      }
      const version = (item?.version ?? 0) + 1
      const now = ports.clock.now()
      const record = await create(head?.record, version, now)
      // As long as any commit: were it to stay longer than those behind it, it would look like the newest again.
      const expiresAtMs = now + (this.options.logRetentionMs ?? DEFAULT_STAGE_SETTINGS.logRetentionMs)
      if ((await ports.log.append(log, { version, payload: encodeCommit(record), expiresAtMs })) === 'won') return
      ports.count('log-reset-lost')
    }
  }
}

function stateOf({ uids, place }: SubtaskStart, plan: RestorePlan | undefined): BaseState {
  const restored = uids.flatMap((uid) => {
    const state = plan?.operators.get(uid)?.subtasks[place]
    return state === undefined ? [] : [{ uid, ...state }]
  })
  return {
    keyed: new Map(restored.filter(({ keyed }) => keyed.length > 0).map(({ uid, keyed }) => [uid, keyed])),
    operatorStates: new Map(restored.filter(({ operatorState }) => operatorState.length > 0).map(({ uid, operatorState }) => [uid, operatorState])),
  }
}

function nameOf({ stage, subtask }: Omit<LeavingSubtask, 'revision'>): Omit<LeavingSubtask, 'revision'> {
  return { stage, subtask }
}

function isSame(a: ManifestRef | null, b: ManifestRef | null): boolean {
  if (a === null || b === null) return a === b
  return a.checkpointId === b.checkpointId && a.savepoint === b.savepoint && a.root === b.root
}

function refused({ job, revision }: Deployment, why: string): MillraceError {
  return new MillraceError('ACTIVATION_REFUSED', {
    what: `the job cannot be activated: ${why}`,
    where: `job "${job}", revision "${revision}"`,
    todo: 'Look at what runs now, then name the checkpoint to begin with and the attempt to supersede.',
  })
}

function superseded({ job, revision }: Deployment, why: string): MillraceError {
  return new MillraceError('ACTIVATION_REFUSED', {
    what: `another activation has superseded this one: ${why}`,
    where: `job "${job}", revision "${revision}"`,
    todo: 'Nothing is left to do for this one; wait for the other.',
  })
}
