import { join } from 'node:path'
import { CommandLineParameters, compileJob, type Job } from '../api/index.js'
import {
  CheckpointStore,
  createRestartDecider,
  defaultRestartStrategy,
  type Manifest,
  type OpenedCheckpoint,
  openCheckpoint,
  planRestore,
  type RestorePlan,
} from '../checkpoint/index.js'
import { restoredKeyTypes } from '../checkpoint/restored-key-types.js'
import { MillraceError, mergeAccumulators, type SourceSplit } from '../core/index.js'
import type { SnapshotTarget } from '../exchange/index.js'
import { type CompiledJob, type KeyTypesByUid, otherKeys, type StreamNode, suggestedUid, unnamedState } from '../plan/index.js'
import { checkBindings, physicalName } from '../task/job-resources.js'
import { AttemptThreads, workerPlan } from './attempt-threads.js'
import { CheckpointDriver } from './checkpoint-driver.js'
import { blobStoresOn, type OpenBlobStore } from './checkpoint-folder.js'
import { ClientResults } from './client-results.js'
import { aggregateMetrics, type ThreadMetrics } from './job-metrics.js'
import type { FromThread } from './messages.js'
import type { JobEvent, JobHandle, JobResult, JobStatus, MetricsSnapshot, RunOptions } from './run-options.js'
import type { ThreadDeployment } from './slot-thread.js'
import { SourceCoordinator } from './source-coordinator.js'
import { systemClock } from './system-clock.js'
import { WatermarkAlignments } from './watermark-alignment.js'

/** How long the end of a job waits for the metrics of its threads. */
const METRICS_TIMEOUT_MS = 2_000

type Ending = { readonly kind: 'finish' } | { readonly kind: 'stop'; readonly savepoint: string | undefined } | { readonly kind: 'cancel' }

/** One run of a job on the embedded cluster: starts attempts, restarts them after failures, and ends them. */
export class JobRun implements JobHandle {
  readonly jobName: string
  #status: JobStatus = 'starting'
  readonly #compiled: CompiledJob
  readonly #options: RunOptions
  readonly #openStore: OpenBlobStore
  readonly #startedAtMs = systemClock.now()
  readonly #result: Promise<JobResult>
  #resolve!: (result: JobResult) => void
  #reject!: (error: unknown) => void
  #driver!: CheckpointDriver
  #store: CheckpointStore | undefined
  #restoreFrom: { readonly manifest: Manifest; readonly root: string } | undefined
  #keyTypes: KeyTypesByUid = {}
  #threads: AttemptThreads | undefined
  #sources = new Map<string, SourceCoordinator>()
  #attempt = -1
  /** Messages of earlier attempts are ignored. */
  #generation = 0
  #running = 0
  readonly #ended = new Set<string>()
  readonly #committed = new Set<string>()
  #finalCheckpoint: number | undefined
  #alignments!: WatermarkAlignments
  #ending: Ending | undefined
  /** The threads are being closed for good: failures no longer matter. */
  #leaving = false
  /** Stops with drain that wait for the end; a restart makes them fail. */
  readonly #drains = new Set<(error: MillraceError) => void>()
  #finalMetrics: MetricsSnapshot | undefined
  readonly #failures: number[] = []
  #restartTimer: NodeJS.Timeout | undefined
  readonly #results = new ClientResults()

  /** Throws what is wrong with the job or the options. */
  constructor(
    readonly job: Job,
    options: RunOptions,
  ) {
    this.#options = options
    this.#openStore = blobStoresOn(options.fileSystem)
    this.jobName = job.name
    this.#compiled = compileJob(job, options)
    checkBindings(this.#compiled)
    this.#result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#result.catch(() => {})
  }

  get status(): JobStatus {
    return this.#status
  }

  get compiled(): CompiledJob {
    return this.#compiled
  }

  result(): Promise<JobResult> {
    return this.#result
  }

  /** Opens the checkpoint folder and starts the first attempt. Throws CHECKPOINT_… errors. */
  async start(): Promise<void> {
    const { checkpointDir, restoreFrom } = this.#options
    let nextId = 1
    if (checkpointDir !== undefined) {
      this.#store = new CheckpointStore(this.#openStore(checkpointDir), { root: checkpointDir })
      nextId = ((await this.#store.ids()).at(-1) ?? 0) + 1
      this.#warnOfUnnamedState()
    }
    if (restoreFrom !== undefined) {
      const opened = await openCheckpoint(restoreFrom, this.#openStore, checkpointDir)
      if (opened !== undefined) {
        this.#restoreFrom = { manifest: opened.manifest, root: opened.store.root }
        this.#results.earlierRun = opened.manifest.checkpointId
        nextId = Math.max(nextId, opened.manifest.checkpointId + 1)
        this.#planRestore() // refuses a checkpoint that does not fit before anything runs
        await this.#learnKeyTypes(opened)
        this.#emit({ kind: 'restored', checkpointId: opened.manifest.checkpointId, path: opened.path })
      }
    }
    this.#driver = new CheckpointDriver(
      this.#compiled.graph,
      this.#checkpointConfig(),
      this.#store,
      this.#openStore,
      this.#options.retainedCheckpoints ?? 1,
      nextId,
      {
        trigger: (checkpointId, target, stop) => this.#trigger(checkpointId, target, stop),
        enumerators: () => new Map([...this.#sources].map(([uid, source]) => [uid, source.snapshot()])),
        complete: (checkpointId) => this.#threads?.post({ kind: 'complete', checkpointId }),
        abort: (checkpointId) => this.#threads?.post({ kind: 'abort', checkpointId }),
        failJob: (error) => this.#failed(error),
        emit: (event) => this.#emit(event),
      },
    )
    this.#startAttempt()
  }

  #checkpointConfig() {
    const { checkpointIntervalMs = 10_000, minPauseBetweenCheckpointsMs = 0, checkpointTimeoutMs = 600_000 } = this.#options
    return {
      intervalMs: this.#store === undefined ? 0 : checkpointIntervalMs,
      minPauseMs: minPauseBetweenCheckpointsMs,
      timeoutMs: checkpointTimeoutMs,
      maxConcurrent: this.#options.maxConcurrentCheckpoints ?? 1,
      tolerableFailures: this.#options.tolerableFailedCheckpoints ?? 0,
    }
  }

  #planRestore(): RestorePlan | undefined {
    if (this.#restoreFrom === undefined) return undefined
    const operators = this.#compiled.graph.vertices.flatMap((vertex) =>
      vertex.operators.map(({ uid }) => ({ uid, parallelism: vertex.parallelism, maxParallelism: vertex.maxParallelism })),
    )
    const { allowNonRestoredState = false } = this.#options
    return planRestore(this.#restoreFrom.manifest, this.jobName, operators, { allowNonRestoredState })
  }

  /** The code may have changed since the checkpoint was written. Throws PLAN_INCOMPATIBLE for keys that are declared to be of other types. */
  async #learnKeyTypes({ manifest, store }: OpenedCheckpoint): Promise<void> {
    const keyed = this.#compiled.graph.vertices.flatMap(({ operators }) => operators).filter((operator) => operator.keyed)
    const uids = keyed.map(({ uid }) => uid)
    try {
      this.#keyTypes = await restoredKeyTypes(manifest, uids, (ref) => store.readSegment(ref))
    } catch (error) {
      // What is damaged fails the attempt that needs it.
      if (!(error instanceof MillraceError && error.code.startsWith('CHECKPOINT_'))) throw error
    }
    for (const { uid, keyTypes } of keyed) {
      const lost = keyTypes === undefined ? [] : (this.#keyTypes[uid]?.filter((type) => !keyTypes.includes(type)) ?? [])
      if (keyTypes === undefined || lost.length === 0) continue
      const { reason, remedy } = otherKeys(uid, lost, keyTypes)
      throw new MillraceError('PLAN_INCOMPATIBLE', { what: reason, where: `job "${this.jobName}", operator ${uid}`, todo: `${remedy}.`, uid })
    }
  }

  // --- attempts --------------------------------------------------------------------------------------------------------

  #startAttempt(): void {
    this.#attempt++
    const generation = ++this.#generation
    this.#running = 0
    this.#ended.clear()
    this.#committed.clear()
    this.#finalCheckpoint = undefined
    this.#alignments = new WatermarkAlignments((group, limit) => this.#threads?.post({ kind: 'watermark-limit', group, limit }))
    try {
      const plan = this.#planRestore()
      this.#createSources(plan)
      const { workers, url } = workerPlan(this.job, this.#compiled, this.#options)
      const receive = (message: FromThread) => {
        // Results that were committed count, whatever has become of the attempt.
        if (generation === this.#generation || message.kind === 'collected') this.#receive(message)
      }
      this.#threads = new AttemptThreads(this.job, this.#compiled, url, this.#deployments(plan, Math.max(1, workers)), receive, this.#openStore)
    } catch (error) {
      this.#failed(MillraceError.from(error, 'PLAN_INVALID', { what: 'the job could not be started' }))
    }
  }

  #deployments(plan: RestorePlan | undefined, threads: number): ThreadDeployment[] {
    const sources = new Set(this.#sources.keys())
    const restore = new Map([...(plan?.operators ?? [])].filter(([uid]) => !sources.has(uid)).map(([uid, operator]) => [uid, operator.subtasks]))
    return Array.from({ length: threads }, (_, thread) => ({
      thread,
      threads,
      attempt: this.#attempt,
      parallelism: this.#options.parallelism,
      maxParallelism: this.#options.maxParallelism,
      parameters: CommandLineParameters.from(this.#options.parameters).toRecord(),
      bindings: this.#options.bindings,
      checkpointDir: this.#options.checkpointDir,
      exactlyOnce: this.#options.checkpointMode !== 'at-least-once',
      autoWatermarkIntervalMs: this.#options.autoWatermarkIntervalMs ?? 200,
      bufferTimeoutMs: this.#options.bufferTimeoutMs ?? 100,
      restoredCheckpointId: plan?.checkpointId ?? 0,
      restoreRoot: plan === undefined ? undefined : this.#restoreFrom?.root,
      restore,
      keyTypes: this.#keyTypes,
    }))
  }

  #createSources(plan: RestorePlan | undefined): void {
    const compiled = compileJob(this.job, this.#options) // sources of their own for each attempt
    this.#sources = new Map()
    for (const vertex of compiled.graph.vertices) {
      for (const { uid, isSource } of vertex.operators) {
        if (!isSource) continue
        const { source } = (compiled.nodes.get(uid) as StreamNode).source as NonNullable<StreamNode['source']>
        const restored = plan?.operators.get(uid)
        const coordinator = new SourceCoordinator(
          uid,
          source,
          vertex.parallelism,
          {
            assign: (subtask, split) => this.#threads?.postTo(vertex, subtask, { kind: 'assign', uid, subtask, split }),
            noMoreSplits: (subtask) => this.#threads?.postTo(vertex, subtask, { kind: 'no-more-splits', uid, subtask }),
            fail: (error) => this.#failed(error as MillraceError),
          },
          (name) => physicalName(compiled.bindings, name),
          restored && { enumerator: restored.coordinatorState, splits: restored.subtasks.flatMap((s) => s.operatorState) as SourceSplit[] },
        )
        this.#sources.set(uid, coordinator)
      }
    }
  }

  #trigger(checkpointId: number, target: SnapshotTarget, stop: boolean): void {
    if (this.#ending !== undefined) this.#finalCheckpoint = checkpointId
    this.#threads?.post({ kind: 'trigger', checkpointId, target, stop })
  }

  // --- what the threads say ----------------------------------------------------------------------------------------------

  #receive(message: FromThread): void {
    switch (message.kind) {
      case 'running':
        this.#onRunning()
        break
      case 'split-request':
        this.#onSplitRequest(message.uid, message.subtask)
        break
      case 'source-event':
        this.#sources.get(message.uid)?.sourceEvent(message.subtask, message.event)
        break
      case 'source-watermark':
        this.#onSourceWatermark(message.uid, message.subtask, message.watermark)
        break
      case 'ack':
        this.#driver.acknowledge(message.checkpointId, message.subtask, message.operators, message.bytes)
        break
      case 'decline':
        this.#driver.decline(message.checkpointId, MillraceError.fromPlain(message.error))
        break
      case 'ended':
        this.#ended.add(message.subtask)
        if (this.#ended.size === this.#subtaskCount()) this.#onAllEnded()
        break
      case 'committed':
        this.#onCommitted(message.checkpointId, message.subtask)
        break
      case 'collected':
        this.#results.add(message.name, message.values, message.batch)
        break
      case 'metrics':
        this.#threads?.onMetrics(message.request, { operators: message.operators, subtasks: message.subtasks })
        break
      case 'failed':
        this.#failed(MillraceError.fromPlain(message.error))
    }
  }

  #subtaskCount(): number {
    return this.#compiled.graph.vertices.reduce((sum, vertex) => sum + vertex.parallelism, 0)
  }

  #onRunning(): void {
    if (++this.#running < (this.#threads?.count ?? 0)) return
    this.#setStatus('running')
    for (const source of this.#sources.values()) void source.start()
    this.#driver.start(this.#attempt)
  }

  #onSourceWatermark(uid: string, subtask: number, watermark: number): void {
    const alignment = this.#compiled.nodes.get(uid)?.source?.strategy.alignment
    if (alignment !== undefined) this.#alignments.report(alignment, `${uid}/${subtask}`, watermark)
  }

  #onSplitRequest(uid: string, subtask: number): void {
    try {
      this.#sources.get(uid)?.requestSplit(subtask)
    } catch (error) {
      this.#failed(MillraceError.from(error, 'SOURCE_FAILED', { what: 'the source could not assign a split', uid }))
    }
  }

  /** Bounded input is over, or drained: one last checkpoint makes the sinks' results final. */
  #onAllEnded(): void {
    if (this.#ending !== undefined) return
    this.#ending = { kind: 'finish' }
    this.#requestFinal('final').catch((error) => this.#failed(MillraceError.from(error, 'CHECKPOINT_FAILED', { what: 'the last checkpoint failed' })))
  }

  #requestFinal(reason: 'final' | 'stop', savepoint?: (id: number) => SnapshotTarget): Promise<string> {
    return this.#driver.request(reason, savepoint ?? (() => (this.#store === undefined ? { kind: 'none' } : { kind: 'checkpoint' })))
  }

  #onCommitted(checkpointId: number, subtask: string): void {
    if (checkpointId !== this.#finalCheckpoint) return
    this.#committed.add(subtask)
    if (this.#committed.size === this.#subtaskCount()) void this.#leave({ kind: 'finish' })
  }

  /** Ends the job: finished, stopped or cancelled. */
  async #leave(otherwise: Ending): Promise<void> {
    if (this.#leaving) return
    this.#leaving = true
    const ending = this.#ending ?? otherwise
    const metrics = await this.#lastMetrics()
    await this.#tearDown(new MillraceError('JOB_CANCELLED', { what: 'the job has ended' }))
    const status = ending.kind === 'cancel' ? 'cancelled' : 'finished'
    let accumulators: JobResult['accumulators']
    try {
      accumulators = mergeAccumulators(metrics.operators.map((operator) => operator.accumulators ?? {}))
    } catch (error) {
      this.#setStatus('failed')
      this.#reject(error)
      return
    }
    this.#setStatus(status)
    this.#finalMetrics = { ...metrics, status }
    this.#resolve({
      status,
      durationMs: systemClock.now() - this.#startedAtMs,
      metrics: this.#finalMetrics,
      collected: this.#results.values,
      accumulators,
      ...(ending.kind === 'stop' && ending.savepoint !== undefined ? { savepoint: ending.savepoint } : {}),
    })
  }

  /** A thread that does not answer does not hold up the end. */
  async #lastMetrics(): Promise<MetricsSnapshot> {
    let timer: NodeJS.Timeout | undefined
    const timeUp = new Promise<MetricsSnapshot>((resolve) => {
      timer = setTimeout(() => resolve(this.#snapshot([])), METRICS_TIMEOUT_MS)
    })
    const metrics = await Promise.race([this.#collectMetrics(), timeUp])
    clearTimeout(timer)
    return metrics
  }

  /** Nothing of the attempt runs or writes any more once this resolves. */
  async #tearDown(why: MillraceError): Promise<void> {
    this.#generation++
    clearTimeout(this.#restartTimer)
    const threads = this.#threads
    this.#threads = undefined
    const sources = [...this.#sources.values()]
    await Promise.allSettled([this.#driver.halt(why), ...sources.map((source) => source.close()), threads?.close()])
  }

  // --- failure -------------------------------------------------------------------------------------------------------------

  #failed(error: MillraceError): void {
    if (this.#leaving || this.#isOver() || this.#status === 'restarting') return
    const now = systemClock.now()
    this.#failures.push(now)
    const strategy = this.#options.restartStrategy ?? defaultRestartStrategy(this.#store !== undefined)
    const decision = error.retryable ? createRestartDecider(strategy)(this.#failures, now) : 'give-up'
    this.#emit({ kind: 'failure', error: error.message, restartInMs: decision === 'give-up' ? undefined : decision.restartInMs })
    this.#setStatus(decision === 'give-up' ? 'failed' : 'restarting')
    for (const interrupt of this.#drains) interrupt(error)
    void this.#tearDown(error).then(() => {
      if (decision === 'give-up') this.#reject(error)
      else if (this.#status === 'restarting') this.#restartTimer = setTimeout(() => this.#restart(), decision.restartInMs)
    })
  }

  #restart(): void {
    if (this.#status !== 'restarting') return
    this.#ending = undefined
    this.#restoreFrom = this.#driver.restorable ?? this.#restoreFrom
    this.#setStatus('starting')
    this.#startAttempt()
  }

  // --- the handle --------------------------------------------------------------------------------------------------------

  async metrics(): Promise<MetricsSnapshot> {
    return this.#finalMetrics ?? this.#collectMetrics()
  }

  async #collectMetrics(): Promise<MetricsSnapshot> {
    return this.#snapshot((await this.#threads?.metrics()) ?? [])
  }

  #snapshot(parts: readonly ThreadMetrics[]): MetricsSnapshot {
    const { last, counts } = this.#driver
    return aggregateMetrics(this.#compiled.graph, parts, {
      job: this.jobName,
      status: this.#status,
      timeMs: systemClock.now(),
      attempt: Math.max(0, this.#attempt),
      lastCheckpoint: last ?? null,
      checkpoints: counts,
    })
  }

  async cancel(): Promise<JobResult> {
    if (this.#isOver()) return this.#result
    if (!this.#leaving) {
      this.#ending = { kind: 'cancel' }
      this.#setStatus('stopping')
      await this.#leave(this.#ending)
    }
    return this.#result
  }

  savepoint(directory: string): Promise<string> {
    this.#mustRun('a savepoint')
    return this.#driver.request('savepoint', this.#savepointIn(directory))
  }

  #savepointIn(directory: string): (id: number) => SnapshotTarget {
    return (id) => ({
      kind: 'savepoint',
      path: join(directory, `savepoint-${this.jobName.replace(/[^A-Za-z0-9._-]/g, '_')}-${id}-${systemClock.now()}`),
    })
  }

  async stop({ savepointDir, drain = false }: { readonly savepointDir?: string; readonly drain?: boolean } = {}): Promise<JobResult> {
    if (this.#isOver() || this.#ending?.kind === 'finish') return this.#result
    this.#mustRun('stopping')
    if (drain && savepointDir !== undefined) {
      throw new MillraceError('OPTION_INVALID', {
        what: 'a job that is drained ends, and leaves no savepoint',
        todo: 'Stop it with savepointDir, or with drain.',
      })
    }
    if (drain) return this.#drain()
    if (savepointDir === undefined && this.#store === undefined) {
      throw new MillraceError('OPTION_INVALID', {
        what: 'the job has no checkpoint folder to stop into',
        todo: 'Name a savepoint folder, stop with drain, or cancel.',
      })
    }
    this.#setStatus('stopping')
    const stopping: { kind: 'stop'; savepoint: string | undefined } = { kind: 'stop', savepoint: undefined }
    this.#ending = stopping
    try {
      const path = await this.#requestFinal('stop', savepointDir === undefined ? undefined : this.#savepointIn(savepointDir))
      if (savepointDir !== undefined) stopping.savepoint = path
    } catch (error) {
      if (this.#ending === stopping) this.#ending = undefined
      if (this.#status === 'stopping' && !this.#leaving) this.#setStatus('running')
      throw error
    }
    return this.#result
  }

  /** As in Flink, a job that has to restart meanwhile goes on, and the stop has failed. */
  async #drain(): Promise<JobResult> {
    this.#setStatus('stopping')
    let interrupt!: (error: MillraceError) => void
    const interrupted = new Promise<never>((_, reject) => {
      interrupt = reject
    })
    this.#drains.add(interrupt)
    this.#threads?.post({ kind: 'drain' })
    try {
      return await Promise.race([this.#result, interrupted])
    } finally {
      this.#drains.delete(interrupt)
    }
  }

  #mustRun(what: string): void {
    if (this.#status === 'running') return
    throw new MillraceError('CHECKPOINT_FAILED', {
      what: `${what} is not possible while the job is ${this.#status}`,
      todo: 'Try again when it runs.',
    })
  }

  #isOver(): boolean {
    return this.#status === 'finished' || this.#status === 'cancelled' || this.#status === 'failed'
  }

  #setStatus(status: JobStatus): void {
    if (status === this.#status) return
    this.#status = status
    this.#emit({ kind: 'status', status })
  }

  #warnOfUnnamedState(): void {
    // A sink that keeps something in checkpoints has it written when the job ends.
    const operators = unnamedState(this.#compiled.graph).filter(({ isSink }) => !isSink)
    if (operators.length === 0) return
    const names = operators.map((operator) => `"${operator.name}" (.uid('${suggestedUid(operator)}'))`).join(', ')
    const message = `operators with state have no uid, so a changed job may not find it in these checkpoints: ${names}`
    this.#emit({ kind: 'warning', message })
  }

  #emit(event: JobEvent): void {
    this.#options.onEvent?.(event)
  }
}
