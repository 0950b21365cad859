import type { JobRecord, ManifestRef } from '../runtime/checkpoint/job-record.js'
import { MillraceError } from '../runtime/core/index.js'
import type { Clock, CommitLog } from '../runtime/ports/index.js'
import { readJob } from '../runtime/task/job-log.js'
import type { CheckpointStep, CheckpointStepResult } from './checkpoint-handler.js'
import { CONTROL_TIMEOUT_MS } from './control-timeout.js'
import {
  type DeploymentDecision,
  type DeploymentRequest,
  decideDeployment,
  decideRestoreTo,
  finished,
  isRestore,
  type RestoreWish,
} from './deployment-decisions.js'
import {
  type DeployedRevision,
  type DeploymentRecord,
  readDeployment,
  replaceDeployment,
  type StoredDeployment,
  type Transition,
} from './deployment-record.js'
import type { LambdaApi } from './lambda-api.js'
import type { RevisionStep, RevisionStepResult } from './revision-steps.js'
import { SourceMappings } from './source-mappings.js'

export interface TransitionPorts {
  readonly clock: Clock
  readonly log: CommitLog
  nonce(): string
  readonly lambda: LambdaApi
}

/** How far a request has come. Not done: the same request is to be made again after some seconds. */
export type TransitionProgress =
  | { readonly status: 'done'; readonly attempt: number; readonly warning?: string }
  | { readonly status: 'under-way'; readonly why: string }
  /** It is over, and nothing was changed, or what was begun is left to a roll-back. */
  | { readonly status: 'failed'; readonly why: string }

/** How long a phase may take before the deployment fails, if it is none that is being taken back. */
const PATIENCE_MS: Readonly<Record<Transition['phase'], number>> = {
  stopping: 10 * 60_000,
  resuming: 30 * 60_000,
  restoring: 15 * 60_000,
  reading: 15 * 60_000,
}
/** One that is being taken back does not fail; after this it lets the rest of the stack go on. */
const BACK_PATIENCE_MS = 40 * 60_000
/** No further step is begun after this. */
const SLICE_MS = 15_000
/** Longer than an invocation lives, with one of another version that it calls at its end. */
const LEASE_MS = 2 * CONTROL_TIMEOUT_MS + 10_000
/** Times of arrival are approximate. */
const ARRIVAL_MARGIN_MS = 60_000

const NOT_STOPPED =
  "The revision that runs was not stopped, and goes on. If it cannot be, deploy with upgradeMode: 'last-state': the job goes on from its last checkpoint, and what came " +
  'behind that is computed again'

/** What a phase comes to: another one, its end, a pause. */
type Outcome =
  | { readonly kind: 'next'; readonly change: Partial<Transition> }
  | { readonly kind: 'finished'; readonly attempt: number }
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'failed'; readonly why: string }

/**
 * Leads a job from one attempt to the next, over revisions: deployments, their roll-backs, restores, removal. Each call does as much as fits into a slice of time and
 * says whether there is more to do. It keeps nothing in memory: the deployment record says where it stands (see {@link decideDeployment}).
 *
 * What only a revision itself can do, its own version of the control function is called for, so this may be any revision's code.
 */
export class Transitions {
  readonly #mappings: SourceMappings

  constructor(
    readonly job: string,
    readonly ports: TransitionPorts,
  ) {
    this.#mappings = new SourceMappings(ports.lambda)
  }

  /** The job runs as this revision, in the place of whatever ran before. */
  deploy(request: DeploymentRequest): Promise<TransitionProgress> {
    return this.#slice((record, job) => decideDeployment(record, job, request, this.ports.clock.now()))
  }

  /** The job goes back to one of its own checkpoints. `request` tells one wish from another that names the same checkpoint. */
  restore(request: RestoreWish): Promise<TransitionProgress> {
    return this.#slice((record, job) => decideRestoreTo(record, job, request, this.ports.clock.now()))
  }

  /** Nothing reads the sources any more. What the job has written stays. `revision`: what the stack knew of it. */
  async remove(revision: DeployedRevision): Promise<TransitionProgress> {
    const { record } = await this.#read()
    const { active, transition, last } = record
    const known = [revision, active, transition?.from, transition?.to, last?.transition.from].flatMap((one) => Object.values(one?.sources ?? {}))
    const eventSources = [...new Set(known.map(({ eventSourceArn }) => eventSourceArn))]
    return this.#leased(async (stored) => {
      for (const functionArn of new Set(known.map((source) => source.functionArn))) {
        const removed = await this.#mappings.remove(functionArn, eventSources)
        if (!removed.done) return { status: 'under-way', why: removed.why }
        // A version cannot be deleted as long as an alias names it.
        await this.#mappings.removeAliases(functionArn)
      }
      await this.#put(stored, { ...stored.record, active: null, transition: null, last: null })
      return { status: 'done', attempt: 0 }
    })
  }

  // --- one slice ---------------------------------------------------------------------------------------------------------

  #slice(decide: (record: DeploymentRecord, job: JobRecord | undefined) => DeploymentDecision): Promise<TransitionProgress> {
    return this.#leased(async (leased) => {
      const job = (await readJob(this.ports, this.job))?.record
      const decision = decide(leased.record, job)
      switch (decision.kind) {
        case 'done':
          return { status: 'done', attempt: job?.attempt ?? 0 }
        case 'refused':
          return { status: 'failed', why: decision.why }
        case 'keep':
          return this.#advance(leased)
        case 'put': {
          const refused = decision.compare ? await this.#refused(decision.record.transition as Transition) : undefined
          if (refused === undefined) return this.#advance(await this.#put(leased, decision.record))
          return this.#failed(leased, decision.record.transition as Transition, refused)
        }
      }
    })
  }

  /** Only one invocation works on the record at a time. One that is cut off keeps others out until it is over for certain. */
  async #leased(work: (stored: StoredDeployment) => Promise<TransitionProgress>): Promise<TransitionProgress> {
    const { clock, nonce } = this.ports
    const holder = nonce()
    try {
      const found = await this.#read()
      const { lease } = found.record
      if (lease !== null && clock.now() < lease.untilMs) return { status: 'under-way', why: 'another invocation is at work' }
      const stored = await this.#put(found, { ...found.record, lease: { holder, untilMs: clock.now() + LEASE_MS } })
      const progress = await work(stored)
      await this.#release(holder)
      return progress
    } catch (error) {
      await this.#release(holder).catch(() => {}) // what failed before is what matters
      if (error instanceof LostRecord) return { status: 'under-way', why: error.message }
      // What fails may succeed the next time; how long that may go on is said by the phase.
      if (error instanceof MillraceError && error.retryable) return { status: 'under-way', why: error.message }
      throw error
    }
  }

  async #release(holder: string): Promise<void> {
    const { record, serial } = await this.#read()
    if (record.lease?.holder === holder) await replaceDeployment(this.ports.log, this.job, { ...record, lease: null }, serial)
  }

  #read(): Promise<StoredDeployment> {
    return readDeployment(this.ports.log, this.job, this.ports.clock.now())
  }

  async #put({ serial }: StoredDeployment, record: DeploymentRecord): Promise<StoredDeployment> {
    const stored = await replaceDeployment(this.ports.log, this.job, record, serial)
    if (stored === undefined) throw new LostRecord('another invocation has gone on with the deployment')
    return stored
  }

  /** Phase after phase, as long as there is time. */
  async #advance(from: StoredDeployment): Promise<TransitionProgress> {
    const { clock } = this.ports
    const endMs = clock.now() + SLICE_MS
    let stored = from
    for (;;) {
      const { record } = stored
      const transition = record.transition as Transition
      const outcome = await this.#patient(transition, record)
      switch (outcome.kind) {
        case 'finished':
          await this.#put(stored, finished(record, transition, clock.now()))
          return { status: 'done', attempt: outcome.attempt }
        case 'failed': {
          if (transition.phase === 'stopping' && !(await this.#abortStop(transition.from, outcome.why)))
            return { status: 'under-way', why: 'the stop comes to its end after all' }
          return this.#failed(stored, transition, transition.phase === 'stopping' ? `${outcome.why}. ${NOT_STOPPED}` : outcome.why)
        }
        case 'wait':
          return { status: 'under-way', why: outcome.why }
        case 'next':
          stored = await this.#put(stored, { ...record, transition: { ...transition, phaseAtMs: clock.now(), ...outcome.change } })
          if (clock.now() > endMs) return { status: 'under-way', why: `${outcome.change.phase} begins` }
      }
    }
  }

  /** A phase that has waited for too long has failed. */
  async #patient(transition: Transition, record: DeploymentRecord): Promise<Outcome> {
    const { phase, phaseAtMs, back } = transition
    let outcome: Outcome
    try {
      outcome = await this.#phase(transition, record)
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      outcome = error.retryable ? { kind: 'wait', why: error.message } : { kind: 'failed', why: error.message }
    }
    const waitedMs = this.ports.clock.now() - phaseAtMs
    if (outcome.kind !== 'wait' || waitedMs < (back ? BACK_PATIENCE_MS : PATIENCE_MS[phase])) return outcome
    return { kind: 'failed', why: `${outcome.why} (after ${Math.round(waitedMs / 60_000)} minutes)` }
  }

  /** Nothing is left of the stop, if it was one. `transition`: what was tried, which need not have been recorded. */
  async #failed(stored: StoredDeployment, transition: Transition, why: string): Promise<TransitionProgress> {
    const { clock } = this.ports
    if (transition.phase === 'stopping') {
      const { otherwise } = transition
      if (otherwise !== null) {
        const expected = (await readJob(this.ports, this.job))?.record.attempt ?? 0
        const back: Transition = {
          ...transition,
          phase: 'restoring',
          phaseAtMs: clock.now(),
          begin: otherwise,
          expected,
          replace: true,
          back: true,
          otherwise: null,
        }
        return this.#advance(await this.#put(stored, { ...stored.record, transition: back }))
      }
      if (stored.record.transition !== null) await this.#put(stored, { ...stored.record, transition: null })
    }
    // A restore that never began leaves the job as it is.
    if (isRestore(transition) && transition.phase === 'restoring') {
      const attempt = (await readJob(this.ports, this.job))?.record.attempt
      if (attempt === transition.expected) await this.#put(stored, { ...stored.record, transition: null })
    }
    // The rest of the stack goes back; the next deployment, or a restore, goes on from here.
    if (transition.back) return { status: 'done', attempt: transition.attempt, warning: why }
    return { status: 'failed', why }
  }

  // --- the phases --------------------------------------------------------------------------------------------------------

  async #phase(transition: Transition, record: DeploymentRecord): Promise<Outcome> {
    switch (transition.phase) {
      case 'stopping':
        return this.#stop(transition)
      case 'resuming':
        return this.#resume(transition)
      case 'restoring':
        return this.#restore(transition)
      case 'reading':
        return this.#letRead(transition, record)
    }
  }

  async #stop(transition: Transition): Promise<Outcome> {
    const { from } = transition
    const job = (await readJob(this.ports, this.job))?.record
    if (from === null || job === undefined || job.revision !== from.revision) {
      return { kind: 'failed', why: `revision "${job?.revision}" of the job is active, and "${from?.revision}" was to be stopped` }
    }
    switch (job.phase) {
      case 'stopped':
        return { kind: 'next', change: { phase: 'restoring', begin: { checkpointId: job.completed, savepoint: true }, expected: job.attempt } }
      case 'restoring':
        return this.#goOnRestoring(from, job)
      case 'running': {
        if (job.pending !== null) {
          const polled = await this.#checkpointStep(from, { step: 'poll', checkpointId: job.pending.id })
          // One that is over makes way for the stop, or was the stop.
          if (polled.status === 'completed') return this.#stop(transition)
          if (polled.status === 'pending') return { kind: 'wait', why: `${polled.acknowledged} of ${polled.needed} subtasks have stopped` }
          return { kind: 'wait', why: `checkpoint ${job.pending.id} was aborted: ${'why' in polled ? polled.why : ''}` }
        }
        const begun = await this.#checkpointStep(from, { step: 'begin', input: { kind: 'stop' } })
        if (begun.status !== 'begun') return { kind: 'wait', why: `it cannot be stopped yet: ${JSON.stringify(begun)}` }
        return { kind: 'next', change: { phase: 'stopping', phaseAtMs: transition.phaseAtMs, stop: begun.checkpointId } }
      }
    }
  }

  /** Whether the revision goes on as if it had never been stopped. When not, its stop has come to its end, or will. */
  async #abortStop(revision: DeployedRevision | null, why: string): Promise<boolean> {
    const job = (await readJob(this.ports, this.job))?.record
    if (revision === null || job === undefined || job.revision !== revision.revision) return true
    if (job.pending?.kind !== 'stop') return job.phase !== 'stopped'
    const aborted = await this.#step(revision, { step: 'abort', checkpointId: job.pending.id, why })
    return aborted.status === 'aborted'
  }

  async #resume({ to }: Transition): Promise<Outcome> {
    const job = (await readJob(this.ports, this.job))?.record
    if (job === undefined || job.revision !== to.revision) return { kind: 'failed', why: `revision "${job?.revision}" of the job is active` }
    switch (job.phase) {
      case 'stopped':
        return { kind: 'next', change: { phase: 'restoring', begin: { checkpointId: job.completed, savepoint: true }, expected: job.attempt } }
      case 'restoring':
        return this.#goOnRestoring(to, job)
      case 'running': {
        if (await this.#abortStop(to, 'the deployment is being taken back')) return { kind: 'finished', attempt: job.attempt }
        const { pending } = job
        if (pending !== null) await this.#checkpointStep(to, { step: 'poll', checkpointId: pending.id })
        return { kind: 'wait', why: 'the stop comes to its end' }
      }
    }
  }

  async #goOnRestoring(revision: DeployedRevision, { from, attempt, firstAttempt }: JobRecord): Promise<Outcome> {
    const expected = attempt === firstAttempt ? 0 : attempt - 1
    const resumed = await this.#step(revision, { step: 'activate', from, expected, allowStateLoss: [] })
    return { kind: 'wait', why: `attempt ${attempt} is being restored: ${resumed.status}` }
  }

  async #restore(transition: Transition): Promise<Outcome> {
    const { to, begin, expected, allowStateLoss, back } = transition
    const completing = begin === 'last-state' ? await this.#completing(transition) : undefined
    if (completing !== undefined) return { kind: 'wait', why: completing }
    const activated = await this.#step(to, { step: 'activate', from: begin, expected, allowStateLoss })
    if (activated.status === 'activated') {
      return { kind: 'next', change: { phase: 'reading', attempt: activated.attempt, ...(begin === 'last-state' ? { begin: activated.from } : {}) } }
    }
    const why = 'why' in activated ? activated.why : activated.status
    if (activated.status === 'failed' && activated.again) return { kind: 'wait', why }
    // What was begun for the deployment that is being taken back may have come to its end only now.
    const job = (await readJob(this.ports, this.job))?.record
    if (back && job !== undefined && job.attempt > expected && job.revision !== to.revision)
      return { kind: 'next', change: { expected: job.attempt } }
    return { kind: 'failed', why }
  }

  /** A checkpoint that is about to complete will have: its acknowledgements are read by the code that wrote them. */
  async #completing({ from, expected }: Transition): Promise<string | undefined> {
    const job = (await readJob(this.ports, this.job))?.record
    if (from === null || job?.pending?.completing !== true || job.revision !== from.revision || job.attempt !== expected) return undefined
    const { id } = job.pending
    const polled = await this.#checkpointStep(from, { step: 'poll', checkpointId: id })
    return polled.status === 'completed' ? undefined : `checkpoint ${id} is being completed`
  }

  async #letRead(transition: Transition, { sinceMs }: DeploymentRecord): Promise<Outcome> {
    const { from, to, attempt, replace, phaseAtMs } = transition
    const begin = transition.begin as ManifestRef | null
    let arrivals: Promise<Readonly<Record<string, number>>> | undefined
    for (const [stage, source] of Object.entries(to.sources)) {
      const before = from?.sources[stage]?.eventSourceArn
      const progress = await this.#mappings.letRead(source, attempt, {
        replace,
        eventSources: before === undefined ? [] : [before],
        beginAtMs: async () => {
          const latest = source.start === 'LATEST'
          // It has never run, or had saved nothing yet.
          if (begin === null) return latest ? sinceMs : undefined
          arrivals ??= this.#arrivals(to, begin)
          const atMs = (await arrivals)[stage]
          // What it goes on from does not know the source.
          if (atMs === undefined) return latest ? phaseAtMs : undefined
          return Math.max(atMs - ARRIVAL_MARGIN_MS, latest ? sinceMs : 0)
        },
      })
      if (!progress.done) return { kind: 'wait', why: progress.why }
    }
    const staying = new Set(Object.values(to.sources).map(({ functionArn }) => functionArn))
    for (const { functionArn, eventSourceArn } of Object.values(from?.sources ?? {})) {
      if (staying.has(functionArn)) continue
      const progress = await this.#mappings.remove(functionArn, [eventSourceArn])
      if (!progress.done) return { kind: 'wait', why: progress.why }
      await this.#mappings.removeAliases(functionArn)
    }
    for (const { functionArn, version } of Object.values(to.sources)) await this.#mappings.removeAliases(functionArn, attempt, version)
    return { kind: 'finished', attempt }
  }

  // --- calls of revisions ------------------------------------------------------------------------------------------------

  async #refused({ to, allowStateLoss }: Transition): Promise<string | undefined> {
    const compared = await this.#step(to, { step: 'compare', allowStateLoss })
    if (compared.status === 'compatible') return undefined
    const why = 'why' in compared ? compared.why : compared.status
    if (compared.status === 'failed' && compared.again) throw new MillraceError('AWS_CALL', { what: why })
    return why
  }

  async #arrivals(to: DeployedRevision, from: ManifestRef): Promise<Readonly<Record<string, number>>> {
    const answer = await this.#step(to, { step: 'arrivals', from })
    if (answer.status === 'arrivals') return answer.atMs
    throw new MillraceError('AWS_CALL', { what: `where the sources go on is not known: ${'why' in answer ? answer.why : answer.status}` })
  }

  async #step({ control }: DeployedRevision, step: RevisionStep): Promise<RevisionStepResult> {
    return (await this.ports.lambda.invoke(control, step)) as RevisionStepResult
  }

  async #checkpointStep({ control }: DeployedRevision, step: CheckpointStep): Promise<CheckpointStepResult> {
    return (await this.ports.lambda.invoke(control, step)) as CheckpointStepResult
  }
}

/** Another invocation has replaced the record. */
class LostRecord extends Error {}
