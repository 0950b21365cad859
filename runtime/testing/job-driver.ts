import type { EnvironmentDefaults, Job } from '../api/index.js'
import { MAX_WATERMARK, MillraceError, NO_TIMESTAMP } from '../core/index.js'
import { type JobSnapshot, restoredOperators, takeSnapshot } from './job-snapshot.js'
import { compileForTest, type WiredJob, wireJob } from './job-wiring.js'
import type { OutputItem } from './output-item.js'

/** Options of {@link JobDriver}. */
export interface JobDriverOptions extends EnvironmentDefaults {
  /** Whether operators are chained; by default as the job says. Unchained, each operator has a watermark valve before it. */
  readonly chaining?: boolean
  /** Records wait in batches, as between real subtasks, until a watermark follows them or {@link JobDriver.flush}. Default false. */
  readonly batching?: boolean
  /** Interval of periodic watermarks, ms of processing time. Default 200. */
  readonly autoWatermarkIntervalMs?: number
  /** Processing time at the start, epoch ms. Default 0. */
  readonly processingTime?: number
  /** Where to go on from. */
  readonly restored?: JobSnapshot
  /** Called for each item that reaches a sink, over all sinks in order. */
  readonly onOutput?: (sinkUid: string, item: OutputItem) => void
}

/** One scripted input of a {@link JobDriver}, in place of a source. What it is told passes through the whole job before the call returns. */
export interface JobInput<T = unknown> {
  /** `timestamp` is epoch ms; null for a record without one. */
  element(value: T, timestamp?: number | null): void
  watermark(watermark: number): void
  idle(idle: boolean): void
  /** The last watermark, then, once asynchronous work is done, the end of this input. */
  end(): Promise<void>
}

/**
 * Runs a whole job by hand: its real operators with their keyed state, timers, watermark valves and partitioning, in this thread, at a
 * clock that stands still until it is moved. Sources give way to scripted inputs and sinks to captures; both are named by their uids.
 *
 * @example
 * const driver = await JobDriver.start(job)
 * driver.input('clicks').element({ user: 'ann' }, 1_000)
 * driver.input('clicks').watermark(60_000)
 * driver.values('counts') // [{ user: 'ann', count: 1 }]
 *
 * const snapshot = await driver.snapshot()
 * await driver.close()
 * const again = await JobDriver.start(job, { restored: snapshot, parallelism: 2 })
 */
export class JobDriver {
  readonly #wired: WiredJob
  readonly #outputs = new Map<string, OutputItem[]>()
  readonly #segments = new Map<string, Uint8Array>()
  readonly #options: JobDriverOptions
  #processingTime: number
  #checkpointId: number
  #failure: { readonly thrown: unknown } | undefined

  private constructor(job: Job, options: JobDriverOptions, restored: Awaited<ReturnType<typeof restoredOperators>>) {
    this.#options = options
    this.#processingTime = options.processingTime ?? 0
    this.#checkpointId = options.restored?.manifest.checkpointId ?? 0
    this.#wired = wireJob(job, options, {
      autoWatermarkIntervalMs: options.autoWatermarkIntervalMs ?? 200,
      processingTime: this.#processingTime,
      restoredCheckpointId: this.#checkpointId,
      restored,
      note: (uid, item) => this.#note(uid, item),
      fail: (thrown) => {
        this.#failure ??= { thrown }
      },
    })
  }

  /** Compiles the job and opens its operators. Throws what is wrong with the job or the snapshot. */
  static async start(job: Job, options: JobDriverOptions = {}): Promise<JobDriver> {
    const { graph } = compileForTest(job, options, () => {})
    const driver = new JobDriver(job, options, await restoredOperators(options.restored, graph))
    for (const subtask of [...driver.#wired.subtasks].reverse()) await subtask.open()
    driver.#throwFailure()
    return driver
  }

  /** Epoch ms. */
  get processingTime(): number {
    return this.#processingTime
  }

  /** The scripted input that stands for the source with this uid, and for one of its subtasks. */
  input<T = unknown>(sourceUid: string, subtask = 0): JobInput<T> {
    const source = this.#wired.subtasks.find(({ parts }) => parts.vertex.id === sourceUid && parts.subtask === subtask)
    const head = source?.parts.chain[0]
    if (source === undefined || !head?.plan.isSource) throw this.#unknown('source', sourceUid)
    const { operator } = head
    return {
      element: (value, timestamp = null) => this.#run(() => operator.processElement(value, timestamp ?? NO_TIMESTAMP)),
      watermark: (watermark) => this.#run(() => operator.processWatermark(watermark)),
      idle: (idle) => this.#run(() => operator.processStatus(idle)),
      end: async () => {
        this.#run(() => operator.processWatermark(MAX_WATERMARK))
        await this.settle()
        this.#run(() => source.endInput())
        await this.settle()
      },
    }
  }

  /** Everything that has reached the sink with this uid. */
  output<T = unknown>(sinkUid: string): readonly OutputItem<T>[] {
    const node = this.#wired.job.nodes.get(sinkUid)
    if (node === undefined || !node.isSink) throw this.#unknown('sink', sinkUid)
    return (this.#outputs.get(sinkUid) ?? []) as readonly OutputItem<T>[]
  }

  /** The records among `output`, without their timestamps. */
  values<T = unknown>(sinkUid: string): T[] {
    return this.output<T>(sinkUid).flatMap((item) => (item.kind === 'record' ? [item.value] : []))
  }

  /** Moves the clock of one operator after the other, sources first; timers that are due fire in order, and see the new time. */
  advanceProcessingTime(to: number): void {
    this.#processingTime = to
    this.#run(() => {
      for (const subtask of this.#wired.subtasks) subtask.advanceProcessingTime(to)
    })
  }

  /** With `batching`: sends what waits in batches, sources first. */
  flush(): void {
    this.#run(() => {
      for (const { parts } of this.#wired.subtasks) for (const writer of parts.writers) writer.flush()
    })
  }

  /** Waits until results of asynchronous work that are there have reached the operators. Throws what failed. */
  async settle(): Promise<void> {
    do {
      await new Promise((resolve) => setImmediate(resolve))
      this.#throwFailure()
    } while (this.#takeResults())
  }

  #takeResults(): boolean {
    return this.#wired.subtasks.filter((subtask) => subtask.takeResults()).length > 0
  }

  /** A checkpoint between two elements. Incremental where there was one before. */
  async snapshot(): Promise<JobSnapshot> {
    this.#throwFailure()
    this.#checkpointId++
    return takeSnapshot(this.#wired, this.#checkpointId, this.#segments)
  }

  /** Closes the operators. A driver that is dropped without is a crash. */
  async close(): Promise<void> {
    const closed = await Promise.allSettled(this.#wired.subtasks.map((subtask) => subtask.close()))
    for (const result of closed) if (result.status === 'rejected') throw result.reason
  }

  #note(uid: string, item: OutputItem): void {
    const items = this.#outputs.get(uid)
    if (items === undefined) this.#outputs.set(uid, [item])
    else items.push(item)
    this.#options.onOutput?.(uid, item)
  }

  #run(act: () => void): void {
    this.#throwFailure()
    act()
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.thrown
  }

  #unknown(kind: 'source' | 'sink', uid: string): MillraceError {
    const known = [...this.#wired.job.nodes].filter(([, node]) => (kind === 'sink' ? node.isSink : node.inputs.length === 0)).map(([id]) => id)
    return new MillraceError('OPTION_INVALID', {
      what: `the job has no ${kind} with the uid "${uid}"`,
      todo: `Name one of ${known.join(', ')}; uid() gives it one.`,
    })
  }
}
