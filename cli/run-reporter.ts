import type { JobEvent, JobHandle, JobResult, MetricsSnapshot } from '../runtime/local/run-options.js'
import { LiveLine } from './live-line.js'
import { writeMetricsFile } from './metrics-file.js'
import { bytes, count, isoTime, Progress, seconds } from './progress.js'

export interface ReportOptions {
  readonly quiet: boolean
  readonly metricsFile: string | undefined
}

const LIVE_MS = 500
const PLAIN_MS = 10_000
const METRICS_FILE_MS = 5000

/** Tells on stderr how a run goes: a live line on a terminal, a line now and then elsewhere; stdout stays the job's own. */
export class RunReporter {
  private readonly progress = new Progress()
  private readonly line: LiveLine | undefined
  private readonly timers: NodeJS.Timeout[] = []
  private metricsFileFailed = false

  constructor(private readonly options: ReportOptions) {
    this.line = !options.quiet && process.stderr.isTTY ? new LiveLine(process.stderr, [process.stdout]) : undefined
  }

  start(handle: JobHandle): void {
    if (!this.options.quiet) this.every(this.line === undefined ? PLAIN_MS : LIVE_MS, handle, (metrics) => this.tell(metrics))
    const file = this.options.metricsFile
    if (file !== undefined) this.every(METRICS_FILE_MS, handle, (metrics) => this.writeMetrics(file, metrics))
  }

  event(event: JobEvent): void {
    if (event.kind === 'failure') {
      // One that ends the job is what the command itself reports at the end.
      if (event.restartInMs !== undefined) this.say(`${event.error}\nmillrace: restarting in ${seconds(event.restartInMs)}`)
    } else if (event.kind === 'checkpoint-failed') {
      this.say(`millrace: checkpoint ${event.checkpointId} failed: ${event.error}`)
    } else if (event.kind === 'warning' && !this.options.quiet) {
      this.say(`millrace: ${event.message}`)
    } else if (event.kind === 'restored' && !this.options.quiet) {
      this.say(`millrace: restored checkpoint ${event.checkpointId} from ${event.path}`)
    }
  }

  say(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  /** Ends the live line; after it nothing is written but what the caller says. */
  close(): void {
    for (const timer of this.timers) clearInterval(timer)
    this.line?.close()
  }

  /** `resumable`: stopped before its input was over, with checkpoints on. */
  async finish(result: JobResult, resumable: boolean): Promise<void> {
    this.close()
    if (!this.options.quiet) for (const text of summary(result, resumable)) this.say(text)
    if (this.options.metricsFile !== undefined) await writeMetricsFile(this.options.metricsFile, result.metrics)
  }

  /** Last metrics of a job that failed; the failure itself is what the caller reports. */
  async failed(handle: JobHandle): Promise<void> {
    this.close()
    const file = this.options.metricsFile
    if (file !== undefined)
      await handle.metrics().then(
        (metrics) => this.writeMetrics(file, metrics),
        () => undefined,
      )
  }

  private tell(metrics: MetricsSnapshot): void {
    const text = this.progress.describe(metrics)
    if (this.line !== undefined) this.line.show(text)
    else this.say(`millrace: ${text}`)
  }

  private async writeMetrics(file: string, metrics: MetricsSnapshot): Promise<void> {
    try {
      await writeMetricsFile(file, metrics)
      this.metricsFileFailed = false
    } catch (thrown) {
      // The job is worth more than its metrics: said once, and an error at the end if it is still so.
      if (!this.metricsFileFailed) this.say((thrown as Error).message)
      this.metricsFileFailed = true
    }
  }

  private every(ms: number, handle: JobHandle, use: (metrics: MetricsSnapshot) => void | Promise<void>): void {
    let busy = false
    const turn = async (): Promise<void> => {
      if (busy) return
      busy = true
      try {
        await use(await handle.metrics())
      } catch {
        // Between attempts there may be nobody to ask; the next turn does.
      } finally {
        busy = false
      }
    }
    this.timers.push(setInterval(turn, ms))
  }
}

function summary(result: JobResult, resumable: boolean): string[] {
  const { metrics, durationMs, status } = result
  const rate = durationMs > 0 ? `, ${count(Math.round((metrics.recordsIn * 1000) / durationMs))}/s` : ''
  const lines = [
    `millrace: ${metrics.job} ${status} after ${seconds(durationMs)}: ${count(metrics.recordsIn)} records in, ${count(metrics.recordsOut)} out${rate}`,
  ]
  const late = metrics.operators.reduce((sum, operator) => sum + operator.late, 0)
  if (late > 0) lines.push(`millrace: ${count(late)} records came too late and were dropped`)
  if (status === 'cancelled') lines.push(`millrace: watermark ${isoTime(metrics.watermark)}`)
  const last = metrics.lastCheckpoint
  if (last !== null)
    lines.push(`millrace: ${count(metrics.checkpoints.completed)} checkpoints, the last ${last.id} (${bytes(last.bytes)}) in ${last.path}`)
  if (result.savepoint !== undefined) lines.push(`millrace: savepoint ${result.savepoint}`)
  if (resumable && (last !== null || result.savepoint !== undefined)) {
    lines.push(`millrace: go on with --from ${result.savepoint === undefined ? 'latest' : result.savepoint}`)
  }
  return lines
}
