import {
  type Aborted,
  type CheckpointStore,
  type CoordinatorConfig,
  type CoordinatorState,
  decideTrigger,
  MANIFEST_FORMAT,
  type Manifest,
  nextTimeoutMs,
  type OperatorSubtaskState,
  onAck,
  onDecline,
  onRestart,
  onStored,
  onTimeout,
  onTriggered,
  CheckpointStore as Store,
  segmentsOf,
  startCoordinator,
  type TriggerReason,
} from '../checkpoint/index.js'
import { MillraceError } from '../core/index.js'
import type { SnapshotTarget } from '../exchange/index.js'
import type { JobGraph } from '../plan/index.js'
import type { OpenBlobStore } from './checkpoint-folder.js'
import { type OperatorAck, subtaskName } from './messages.js'
import type { JobEvent } from './run-options.js'
import { systemClock } from './system-clock.js'

/** What the driver asks of the running attempt. */
export interface CheckpointEffects {
  trigger(checkpointId: number, target: SnapshotTarget, stop: boolean): void
  /** State of the source enumerators, by uid, as of now. */
  enumerators(): ReadonlyMap<string, unknown>
  complete(checkpointId: number): void
  abort(checkpointId: number): void
  failJob(error: MillraceError): void
  emit(event: JobEvent): void
}

interface Collected {
  readonly target: SnapshotTarget
  readonly startedAtMs: number
  readonly enumerators: ReadonlyMap<string, unknown>
  readonly operators: Map<string, OperatorSubtaskState[]>
  readonly resolve: (path: string) => void
  readonly reject: (error: unknown) => void
  bytes: number
}

export interface CompletedCheckpoint {
  readonly id: number
  readonly path: string
  readonly completedAtMs: number
  readonly durationMs: number
  readonly bytes: number
}

/** Carries out what the pure coordinator decides: triggers, collects acknowledgements, writes manifests, forgets old checkpoints. */
export class CheckpointDriver {
  last: CompletedCheckpoint | undefined
  /** What to restart from, with the folder of its segments. */
  restorable: { readonly manifest: Manifest; readonly root: string } | undefined
  #state: CoordinatorState
  #running = false
  #timer: NodeJS.Timeout | undefined
  #lastError: MillraceError | undefined
  /** Checkpoints whose manifests are being written. */
  readonly #storing = new Set<Promise<unknown>>()
  readonly #collected = new Map<number, Collected>()
  readonly #waiting: {
    readonly reason: TriggerReason
    readonly target: (id: number) => SnapshotTarget
    readonly resolve: (path: string) => void
    readonly reject: (error: unknown) => void
  }[] = []

  constructor(
    readonly graph: JobGraph,
    readonly config: CoordinatorConfig,
    readonly store: CheckpointStore | undefined,
    /** For savepoints. */
    readonly openStore: OpenBlobStore,
    readonly retained: number,
    nextId: number,
    readonly effects: CheckpointEffects,
  ) {
    this.#state = startCoordinator(nextId, systemClock.monotonic())
  }

  get counts(): { readonly completed: number; readonly failed: number; readonly inProgress: number } {
    return { completed: this.#state.completed, failed: this.#state.failed, inProgress: this.#state.pending.length }
  }

  attempt = 0

  /** The attempt's subtasks run; periodic checkpoints begin. */
  start(attempt: number): void {
    this.attempt = attempt
    this.#running = true
    this.#state = onRestart(this.#state, systemClock.monotonic())
    this.#arm()
  }

  /**
   * The attempt is over: no checkpoint of it completes any more. Resolves when none is being written either: one that still
   * comes to be is the one to restart from, or a later process would find it after this one has restarted from an older one.
   */
  async halt(error: MillraceError): Promise<void> {
    this.#running = false
    clearTimeout(this.#timer)
    for (const collected of this.#collected.values()) collected.reject(error)
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
    this.#collected.clear()
    await Promise.allSettled(this.#storing)
  }

  /** Begins a checkpoint as soon as the rules allow; resolves with its path once it is complete. */
  request(reason: TriggerReason, target: (id: number) => SnapshotTarget): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ reason, target, resolve, reject })
      this.#advance()
    })
  }

  #advance(): void {
    if (!this.#running) return
    const now = systemClock.monotonic()
    const timedOut = onTimeout(this.#state, this.config, now)
    this.#state = timedOut.state
    this.#afterAbort(timedOut.aborted, timedOut.failJob, now)
    while (this.#waiting.length > 0) {
      const { reason, target, resolve, reject } = this.#waiting[0]
      const decision = decideTrigger(this.#state, this.config, now, reason)
      if (decision.kind === 'wait') break
      this.#waiting.shift()
      if (decision.kind === 'trigger') this.#trigger(decision.id, reason, target(decision.id), resolve, reject)
      else reject(new MillraceError('CHECKPOINT_FAILED', { what: `no ${reason} is possible: ${decision.why}` }))
    }
    if (this.store !== undefined) {
      const decision = decideTrigger(this.#state, this.config, now, 'periodic')
      if (decision.kind === 'trigger')
        this.#trigger(
          decision.id,
          'periodic',
          { kind: 'checkpoint' },
          () => {},
          () => {},
        )
    }
    this.#arm()
  }

  #arm(): void {
    clearTimeout(this.#timer)
    if (!this.#running) return
    const now = systemClock.monotonic()
    const periodic = this.store === undefined ? undefined : decideTrigger(this.#state, this.config, now, 'periodic')
    const next = Math.min(
      periodic?.kind === 'wait' ? periodic.untilMs : periodic?.kind === 'trigger' ? now : Number.POSITIVE_INFINITY,
      nextTimeoutMs(this.#state, this.config),
    )
    if (next === Number.POSITIVE_INFINITY) return
    this.#timer = setTimeout(() => this.#advance(), Math.max(0, Math.min(next - now, 2 ** 31 - 1)))
  }

  #trigger(id: number, reason: TriggerReason, target: SnapshotTarget, resolve: (path: string) => void, reject: (error: unknown) => void): void {
    const subtasks = this.graph.vertices.flatMap((vertex) => Array.from({ length: vertex.parallelism }, (_, i) => subtaskName(vertex.id, i)))
    this.#state = onTriggered(this.#state, reason, subtasks, systemClock.monotonic())
    this.#collected.set(id, {
      target,
      startedAtMs: systemClock.now(),
      enumerators: this.effects.enumerators(),
      operators: new Map(),
      resolve,
      reject,
      bytes: 0,
    })
    if (target.kind !== 'none') this.effects.emit({ kind: 'checkpoint-started', checkpointId: id })
    this.effects.trigger(id, target, reason === 'stop')
  }

  acknowledge(id: number, subtask: string, operators: readonly OperatorAck[], bytes: number): void {
    const { state, outcome } = onAck(this.#state, id, subtask)
    this.#state = state
    const collected = this.#collected.get(id)
    if (outcome.kind === 'late' || collected === undefined) return
    const index = Number(subtask.slice(subtask.lastIndexOf('/') + 1))
    for (const { uid, keyed, operatorState } of operators) {
      const states = collected.operators.get(uid) ?? []
      states.push({ subtask: index, keyed, operatorState })
      collected.operators.set(uid, states)
    }
    collected.bytes += bytes
    if (outcome.kind !== 'acknowledged') return
    const finished = this.#finish(id, collected).catch((error) =>
      this.decline(id, MillraceError.from(error, 'CHECKPOINT_FAILED', { what: `checkpoint ${id} could not be stored` })),
    )
    this.#storing.add(finished)
    void finished.finally(() => this.#storing.delete(finished))
  }

  async #finish(id: number, collected: Collected): Promise<void> {
    const manifest = this.#manifest(id, collected)
    const { target } = collected
    const path = await this.#write(manifest, target)
    if (target.kind === 'checkpoint') this.restorable = { manifest, root: (this.store as CheckpointStore).root }
    if (!this.#running) return
    const { state, outcome } = onStored(this.#state, id, systemClock.monotonic())
    this.#state = state
    if (outcome.kind === 'late') return
    const inPassing = target.kind === 'savepoint' && !state.ended
    if (target.kind === 'savepoint' && !inPassing) this.restorable = { manifest, root: target.path }
    this.#collected.delete(id)
    const completedAtMs = systemClock.now()
    const durationMs = completedAtMs - collected.startedAtMs
    if (target.kind !== 'none') {
      if (target.kind === 'checkpoint') this.last = { id, path, completedAtMs, durationMs, bytes: collected.bytes }
      this.effects.emit({ kind: 'checkpoint-completed', checkpointId: id, path, durationMs, bytes: collected.bytes })
    }
    for (const aborted of outcome.aborted) this.#forget(aborted)
    // Results of a savepoint in passing are not committed: recovery starts from the checkpoint before it.
    if (!inPassing) this.effects.complete(id)
    collected.resolve(path)
    if (target.kind === 'checkpoint') await this.#retain(manifest)
    this.#advance()
  }

  async #write(manifest: Manifest, target: SnapshotTarget): Promise<string> {
    if (target.kind === 'none') return ''
    const store = target.kind === 'checkpoint' ? (this.store as CheckpointStore) : new Store(this.openStore(target.path), { root: target.path })
    return (await store.complete(manifest)).path
  }

  #retain(manifest: Manifest): Promise<unknown> {
    const inUse = new Set(segmentsOf(manifest).map((ref) => ref.name))
    const inProgressFrom = this.#state.pending[0]?.id
    return (this.store as CheckpointStore).retain(this.retained, inUse, inProgressFrom).catch(() => {
      // Old files that cannot be deleted now are deleted after the next checkpoint.
    })
  }

  #manifest(id: number, { target, enumerators, operators }: Collected): Manifest {
    return {
      format: MANIFEST_FORMAT,
      job: this.graph.job,
      checkpointId: id,
      kind: target.kind === 'savepoint' ? 'savepoint' : 'checkpoint',
      createdAtMs: systemClock.now(),
      attempt: this.attempt,
      operators: this.graph.vertices.flatMap((vertex) =>
        vertex.operators.map(({ uid, name }) => ({
          uid,
          name,
          parallelism: vertex.parallelism,
          maxParallelism: vertex.maxParallelism,
          subtasks: (operators.get(uid) ?? []).sort((a, b) => a.subtask - b.subtask),
          ...(enumerators.has(uid) ? { coordinatorState: enumerators.get(uid) } : {}),
        })),
      ),
    }
  }

  decline(id: number, error: MillraceError): void {
    if (!this.#running) return
    const now = systemClock.monotonic()
    this.#lastError = error
    const { state, aborted, failJob } = onDecline(this.#state, this.config, id, now)
    this.#state = state
    this.#afterAbort(aborted, failJob, now)
    this.#advance()
  }

  #afterAbort(aborted: readonly Aborted[], failJob: boolean, _now: number): void {
    for (const one of aborted) {
      const error = one.why === 'timed-out' ? this.#timeoutError(one.id) : (this.#lastError ?? this.#timeoutError(one.id))
      this.effects.emit({ kind: 'checkpoint-failed', checkpointId: one.id, error: error.message })
      this.#forget(one, error)
      if (failJob) this.effects.failJob(error)
    }
  }

  #timeoutError(id: number): MillraceError {
    return new MillraceError('CHECKPOINT_FAILED', {
      what: `checkpoint ${id} was not complete after ${this.config.timeoutMs} ms`,
      todo: 'Raise the checkpoint time-out, or look for the operator that is back-pressured: barriers wait behind its input.',
    })
  }

  #forget(aborted: Aborted, error?: MillraceError): void {
    const collected = this.#collected.get(aborted.id)
    this.#collected.delete(aborted.id)
    this.effects.abort(aborted.id)
    collected?.reject(error ?? new MillraceError('CHECKPOINT_FAILED', { what: `checkpoint ${aborted.id} was subsumed by a newer one` }))
  }
}
