import type { EnvironmentDefaults, Job } from '../api/index.js'
import { MAX_WATERMARK, MillraceError, NO_TIMESTAMP } from '../core/index.js'
import type { DrivenSubtask } from './driven-subtask.js'
import { type JobSnapshot, restoredOperators, takeSnapshot } from './job-snapshot.js'
import { type WiredJob, wireJob } from './job-wiring.js'
import type { OutputItem } from './output-item.js'

export interface JobDriverOptions extends EnvironmentDefaults {
  /** Whether operators are chained; by default as the job says. Unchained, each operator has a watermark valve before it. */
  readonly chaining?: boolean
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
    this.#wired = wireJob(job, {
      ...options,
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
    const compiled = wireJob(job, { ...options, autoWatermarkIntervalMs: 200, processingTime: 0, restoredCheckpointId: 0, ...NOTHING }).job
    const driver = new JobDriver(job, options, await restoredOperators(options.restored, compiled))
    for (const subtask of [...driver.#wired.subtasks].reverse()) await subtask.open()
    return driver
  }

  get processingTime(): number {
    return this.#processingTime
  }

  /** The scripted input that stands for the source with this uid. */
  input<T = unknown>(sourceUid: string, subtask = 0): JobInput<T> {
    const source = this.#source(sourceUid, subtask)
    const { operator, plan } = source.parts.chain[0]
    if (!plan.isSource) throw unknown('source', sourceUid)
    const output = operator as unknown as { readonly output: import('../operators/stream-operator.js').Output<unknown> }
    const guarded = <A extends unknown[]>(act: (...given: A) => void) => {
      return (...given: A): void => {
        this.#throwFailure()
        act(...given)
        this.#throwFailure()
      }
    }
    return {
      element: guarded((value: T, timestamp: number | null = null) => operator.processElement(value, timestamp ?? NO_TIMESTAMP)),
      watermark: guarded((watermark: number) => output.output.emitWatermark(watermark)),
      idle: guarded((idle: boolean) => output.output.emitStatus(idle)),
      end: async () => {
        output.output.emitWatermark(MAX_WATERMARK)
        await this.settle()
        source.endInput()
        await this.settle()
      },
    }
  }
}
