import {
  controlOf,
  type Decision,
  decideAbort,
  decideBegin,
  decideComplete,
  decideCompleted,
  decideRegister,
  missingAcks,
  onTimeout,
  type Registration,
  registeredAs,
} from '../checkpoint/job-decisions.js'
import type { JobRecord, ManifestRef, PendingStageCheckpoint, SubtaskControl } from '../checkpoint/job-record.js'
import type { StageAck } from '../checkpoint/stage-ack.js'
import { stageManifest } from '../checkpoint/stage-manifest.js'
import { assert } from '../core/index.js'
import type { JobGraph } from '../plan/index.js'
import type { BlobStore } from '../ports/index.js'
import { pack } from '../state/index.js'
import { type ActivateOptions, JobActivation } from './job-activation.js'
import { readJob, type StoredJob, updateJob } from './job-log.js'
import { allSubtasks, type JobSubtask, readHead, tell } from './job-subtasks.js'
import { JobTick } from './job-tick.js'
import { isAsOfCheckpoint } from './outlook.js'
import { loadAck } from './stage-acks.js'
import { acksLogName, type Deployment, endedLogName } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'

export type JobPorts = Pick<StagePorts, 'clock' | 'log' | 'parts' | 'checkpoints' | 'pokes' | 'streams' | 'nonce' | 'random' | 'count'>

export interface JobControlOptions {
  readonly deployment: Deployment
  readonly graph: JobGraph
  /** Logical names of the streams that sources read, by stage. */
  readonly sources: Readonly<Record<string, string>>
  readonly ports: JobPorts
  /** Raises the markers of all sinks to the attempt. `writers`: how many subtasks a stage has or had at most. May be repeated. */
  fenceSinks?(attempt: number, writers: number): Promise<void>
  /**
   * The attempt that a job begins with that has no record yet; 1 by default. To be above those of a job of the same name that was removed, where
   * its sinks' markers are not.
   */
  readonly firstAttempt?: number
  /** A checkpoint that is not complete by then is aborted. */
  readonly timeoutMs: number
  /** From then on `poll` tells and pokes the subtasks again that have not acknowledged. */
  readonly repairAfterMs?: number
  /** As those of the stages. */
  readonly logRetentionMs?: number
  readonly settleMs?: number
}

const REPAIR_AFTER_MS = 5_000

export type Begun =
  | { readonly status: 'begun'; readonly checkpointId: number }
  /** Nothing was committed since the last checkpoint, which has this id: another would say the same. Never of a savepoint or a stop. */
  | { readonly status: 'unchanged'; readonly checkpointId: number }
  /** `pending`: the checkpoint that is in progress. */
  | { readonly status: 'refused'; readonly why: string; readonly pending?: number }

export type CheckpointProgress =
  | { readonly status: 'pending'; readonly checkpointId: number; readonly acknowledged: number; readonly needed: number }
  | { readonly status: 'completed'; readonly checkpointId: number; readonly ref: ManifestRef; readonly path: string }
  | { readonly status: 'aborted'; readonly checkpointId: number; readonly why: string }
  /** Nothing is in progress; `completed` and `aborted` are the last ones' ids. */
  | {
      readonly status: 'idle'
      readonly phase: JobRecord['phase'] | 'never-activated' | 'superseded'
      readonly completed: number
      readonly aborted: number
    }

/**
 * What coordinates the checkpoints and attempts of one deployment: it reads the job record, lets a pure function decide, replaces the record, and
 * then acts. What it does after the replacement may be cut off anywhere: whoever calls again, here or elsewhere, does the rest. It keeps nothing
 * in memory.
 */
export class JobControl {
  constructor(readonly options: JobControlOptions) {}

  /** The job record and its serial; undefined for a job that was never activated. Throws LOG_CORRUPT. */
  static read(ports: Pick<StagePorts, 'log'>, job: string): Promise<StoredJob | undefined> {
    return readJob(ports, job)
  }

  /**
   * Makes a source's split that starts itself part of the job; the same answer when it is called again in the attempt. `stopped`: the epoch's
   * barrier is a stop, so the split begins stopped, and its first frames say so.
   */
  static async register(
    ports: Pick<StagePorts, 'log' | 'count'>,
    job: string,
    registration: Registration,
  ): Promise<{ readonly epoch: number; readonly ordinal: number; readonly stopped: boolean } | { readonly refused: string }> {
    const updated = await updateJob(ports, job, (record) => decideRegister(record, registration))
    if (updated.kind === 'refused') {
      ports.count('registration-refused')
      return { refused: updated.why }
    }
    ports.count(updated.kind === 'put' ? 'split-registered' : 'registration-repeated')
    const registered = registeredAs(updated.stored.record, registration.stage, registration.split.splitId)
    assert(registered !== undefined, 'a split that was not refused is registered')
    return registered
  }

  /**
   * The subtask with this log cannot hold what waits for the checkpoint's barrier: it is aborted, if it is still pending. The subtask is told
   * at once, so that none of its instances takes the barrier for one again; whoever polls tells the others. Returns what it was told.
   */
  static async giveUp(
    ports: Pick<StagePorts, 'log' | 'count'>,
    job: string,
    log: string,
    checkpointId: number,
    why: string,
  ): Promise<SubtaskControl> {
    const updated = await updateJob(ports, job, (record) => decideAbort(record, checkpointId, why))
    if (updated.kind === 'put') ports.count('checkpoint-aborted')
    assert(updated.stored !== undefined, 'a job whose subtasks run has a record')
    const { record, serial } = updated.stored
    const control = controlOf(record)
    await ports.log.putControl(log, { serial, payload: pack(control) })
    return control
  }

  async record(): Promise<JobRecord | undefined> {
    return (await this.#read())?.record
  }

  /**
   * Begins an attempt: the first, a restore, a fork, a deployment of another revision. Every step may be repeated; what a call that was cut off
   * has begun is resumed by the same call. Without `expected` a restore that had come to its end is done anew.
   * Throws ACTIVATION_REFUSED when somebody else has moved the job on, CHECKPOINT_*, PLAN_INVALID, SOURCE_FAILED.
   */
  activate(request: ActivateOptions): Promise<JobRecord> {
    return new JobActivation(this.options, request, async (stored, graph) => {
      await this.#finish(stored, graph)
    }).run()
  }

  async begin(kind: PendingStageCheckpoint['kind']): Promise<Begun> {
    const { graph, ports, deployment } = this.options
    const unchanged = kind === 'checkpoint' ? await this.#unchangedSince() : undefined
    if (unchanged !== undefined) {
      ports.count('checkpoint-unchanged')
      return { status: 'unchanged', checkpointId: unchanged }
    }
    let proposed: PendingStageCheckpoint | null = null
    const updated = await updateJob(ports, deployment.job, (record) => {
      // One's own replacement may be reported as lost.
      if (proposed !== null && isSameCheckpoint(record.pending, proposed)) return { kind: 'keep' }
      const need = allSubtasks(graph, record).map(({ ordinal }) => ordinal)
      const decision = this.#ours(record) ?? decideBegin(record, kind, need, ports.clock.now())
      proposed = decision.kind === 'put' ? decision.record.pending : null
      return decision
    })
    const { stored } = updated
    if (stored !== undefined && stored.record.pending !== null && this.#ours(stored.record) === undefined) {
      // A savepoint's snapshots stand alone: all are told before the barrier comes, those behind the sources first.
      const { kind: begun } = stored.record.pending
      const sources = allSubtasks(graph, stored.record).filter(({ isSource }) => isSource || begun !== 'checkpoint')
      await tell(ports, stored, sources, updated.kind === 'refused' ? 'told' : 'all')
    }
    if (updated.kind !== 'refused') {
      ports.count('checkpoint-begun')
      return { status: 'begun', checkpointId: updated.stored.record.begun }
    }
    ports.count('checkpoint-refused')
    const pending = stored?.record.pending?.id
    return { status: 'refused', why: updated.why, ...(pending === undefined ? {} : { pending }) }
  }

  /** The last completed checkpoint, if every subtask is as it has it. One source that goes on is enough to know that not. */
  async #unchangedSince(): Promise<number | undefined> {
    const { record } = (await this.#read()) ?? {}
    if (record === undefined || this.#ours(record) !== undefined) return undefined
    if (record.phase !== 'running' || record.pending !== null || record.completed === 0) return undefined
    const subtasks = allSubtasks(this.options.graph, record).reverse()
    const isAsBefore = async (subtask: JobSubtask) => {
      const { head } = await readHead(this.options.ports, record, subtask)
      return head !== undefined && isAsOfCheckpoint(head, record)
    }
    if (!(await isAsBefore(subtasks[0]))) return undefined
    const others = await Promise.all(subtasks.slice(1).map(isAsBefore))
    return others.includes(false) ? undefined : record.completed
  }

  /**
   * To be called from time to time: looks after a checkpoint that nobody polls any more, and pokes those subtasks for whom the log, the clock or
   * the streams outside say that there is something to do; of a job in which nothing happens, none. Returns how many it has poked.
   */
  async tick(which: 'sources' | 'all'): Promise<number> {
    const stored = await this.#read()
    if (stored === undefined || this.#ours(stored.record) !== undefined) return 0
    if (stored.record.pending !== null) await this.poll()
    return stored.record.phase === 'restoring' ? 0 : new JobTick(this.options, stored).poke(which)
  }

  /** Completes or times out the pending checkpoint; else repeats what its subtasks may not have heard. To be called until it has left. */
  async poll(): Promise<CheckpointProgress> {
    const { graph, ports, deployment, timeoutMs, repairAfterMs = REPAIR_AFTER_MS } = this.options
    const stored = await this.#read()
    if (stored === undefined) return { status: 'idle', phase: 'never-activated', completed: 0, aborted: 0 }
    const { record } = stored
    const { pending, phase, completed, aborted } = record
    if (this.#ours(record) !== undefined) return { status: 'idle', phase: 'superseded', completed, aborted }
    if (pending === null) {
      if (phase !== 'restoring') await this.#repair(stored)
      return { status: 'idle', phase, completed, aborted }
    }
    const { acks, ended } = await this.#said(record, pending.id)
    const endedAt = new Map([...ended].map(([ordinal, { checkpointId }]) => [ordinal, checkpointId]))
    const all = new Set(acks.keys())
    const completing = await updateJob(ports, deployment.job, (newest) => decideComplete(newest, pending.id, all, endedAt))
    if (completing.kind !== 'refused') return this.#finish(completing.stored, graph)
    const timedOut = await updateJob(ports, deployment.job, (newest) =>
      newest.pending?.id === pending.id ? onTimeout(newest, timeoutMs, ports.clock.now()) : { kind: 'keep' },
    )
    if (timedOut.kind === 'put') {
      ports.count('checkpoint-timed-out')
      await tell(ports, timedOut.stored, allSubtasks(graph, timedOut.stored.record), 'all')
      return { status: 'aborted', checkpointId: pending.id, why: timedOut.stored.record.abortedWhy ?? '' }
    }
    const missing = new Set(missingAcks(pending, all, endedAt))
    const ageMs = ports.clock.now() - pending.startedAtMs
    // More and more seldom: behind a backlog a checkpoint takes its time, and each poke is one more invocation.
    if (ageMs >= repairAfterMs && ports.random() * ageMs <= repairAfterMs) {
      ports.count('control-repaired')
      await tell(ports, stored, withoutWhom(record, allSubtasks(graph, record), missing, ended), 'all')
    }
    return { status: 'pending', checkpointId: pending.id, acknowledged: pending.need.length - missing.size, needed: pending.need.length }
  }

  /** `aborted`: it never completes. Refused when it is complete, or about to be, or not the pending one. */
  async abort(checkpointId: number, why: string): Promise<{ readonly status: 'aborted' } | { readonly status: 'refused'; readonly why: string }> {
    const { graph, ports, deployment } = this.options
    const updated = await updateJob(ports, deployment.job, (record) => this.#ours(record) ?? decideAbort(record, checkpointId, why))
    if (updated.kind === 'refused') return { status: 'refused', why: updated.why }
    ports.count('checkpoint-aborted')
    await tell(ports, updated.stored, allSubtasks(graph, updated.stored.record), 'all')
    return { status: 'aborted' }
  }

  #read(): Promise<StoredJob | undefined> {
    return readJob(this.options.ports, this.options.deployment.job)
  }

  /** A refusal when another revision has taken over. */
  #ours({ revision }: JobRecord): (Decision & { readonly kind: 'refused' }) | undefined {
    const own = this.options.deployment.revision
    return revision === own ? undefined : { kind: 'refused', why: `revision "${revision}" of the job is active, and this is "${own}"` }
  }

  /** A checkpoint has left, or none was begun: a call that was cut off may not have told everybody. */
  async #repair(stored: StoredJob): Promise<void> {
    const { graph, ports } = this.options
    const told = await tell(ports, stored, allSubtasks(graph, stored.record), 'told')
    if (told > 0) ports.count('control-repaired')
  }

  /** Acknowledgements of the checkpoint, and ends in the attempt, by ordinal. */
  async #said({ job, revision, attempt }: JobRecord, id: number) {
    const { log, parts, checkpoints } = this.options.ports
    const read = async (name: string, blobs: BlobStore) => {
      const { items } = await log.read(name, 0)
      return new Map(await Promise.all(items.map(async (item) => [item.version, await loadAck({ blobs, log: name }, item)] as const)))
    }
    const acks = await read(acksLogName({ job, revision }, attempt, id), parts)
    return { acks, ended: await read(endedLogName({ job, revision }, attempt), checkpoints.blobs) }
  }

  /** The manifest of the completing checkpoint, then the record, then whoever waits for it. */
  async #finish({ record }: StoredJob, graph: JobGraph): Promise<CheckpointProgress> {
    const { ports } = this.options
    const pending = record.pending as PendingStageCheckpoint
    const { job, attempt } = record
    const { acks, ended } = await this.#said(record, pending.id)
    const said = pending.need.map((ordinal) => acks.get(ordinal) ?? ended.get(ordinal))
    assert(!said.includes(undefined), 'a completing checkpoint has been acknowledged by all')
    const savepoint = pending.kind !== 'checkpoint'
    const head = { job, checkpointId: pending.id, kind: savepoint ? 'savepoint' : 'checkpoint', createdAtMs: pending.startedAtMs, attempt } as const
    const { path } = await ports.checkpoints.ensure(stageManifest(graph, head, said as StageAck[]))
    // Refused: others have completed it too, and the job has gone on.
    const updated = await updateJob(ports, job, (newest) => decideCompleted(newest, pending.id))
    if (updated.kind === 'put') ports.count('checkpoint-completed')
    if (updated.kind !== 'refused') await tell(ports, updated.stored, allSubtasks(graph, updated.stored.record), 'sinks')
    return { status: 'completed', checkpointId: pending.id, ref: { checkpointId: pending.id, savepoint }, path }
  }
}

/**
 * Those whom a checkpoint may wait for: those that have not acknowledged; splits that have ended, on whom it is to begin a split of theirs that
 * has not begun, registered or not.
 */
function withoutWhom(
  { sources }: JobRecord,
  subtasks: readonly JobSubtask[],
  missing: ReadonlySet<number>,
  ended: ReadonlyMap<number, StageAck>,
): readonly JobSubtask[] {
  const silent = new Set(subtasks.filter(({ ordinal }) => missing.has(ordinal)).map(({ stage, subtask }) => `${stage}/${subtask}`))
  return subtasks.filter(({ stage, ordinal }) => {
    if (missing.has(ordinal)) return true
    const successors = ended.get(ordinal)?.split?.successors ?? []
    return successors.some(({ splitId }) => silent.has(`${stage}/${splitId}`) || sources[stage]?.[splitId] === undefined)
  })
}

function isSameCheckpoint(a: PendingStageCheckpoint | null, b: PendingStageCheckpoint): boolean {
  return a !== null && a.id === b.id && a.kind === b.kind && a.startedAtMs === b.startedAtMs
}
