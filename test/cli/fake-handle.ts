import type { JobHandle, JobResult, JobStatus, MetricsSnapshot } from '../../runtime/local/run-options.js'

export function metricsOf(over: Partial<MetricsSnapshot> = {}): MetricsSnapshot {
  return {
    job: 'bids',
    status: 'running',
    timeMs: 10_000,
    attempt: 0,
    lastCheckpoint: null,
    checkpoints: { completed: 0, failed: 0, inProgress: 0 },
    operators: [],
    subtasks: [],
    recordsIn: 0,
    recordsOut: 0,
    watermark: null,
    ...over,
  }
}

/** A job that runs until it is told to end; `calls` is what it was told. */
export class FakeHandle implements JobHandle {
  readonly jobName = 'bids'
  status: JobStatus = 'running'
  readonly calls: unknown[] = []
  /** What the next call rejects with. */
  failure: Error | undefined
  private end!: (result: JobResult) => void
  private readonly done = new Promise<JobResult>((resolve) => {
    this.end = resolve
  })

  result(): Promise<JobResult> {
    return this.done
  }

  async metrics(): Promise<MetricsSnapshot> {
    return metricsOf({ status: this.status, recordsIn: 42 })
  }

  async cancel(): Promise<JobResult> {
    return this.finish('cancel', undefined, 'cancelled')
  }

  async savepoint(directory: string): Promise<string> {
    this.note(['savepoint', directory])
    return `${directory}/savepoint-1`
  }

  async stop(options: { readonly savepointDir?: string; readonly drain?: boolean } = {}): Promise<JobResult> {
    return this.finish('stop', options, options.drain === true ? 'finished' : 'cancelled')
  }

  private finish(call: string, options: unknown, status: JobResult['status']): Promise<JobResult> {
    this.note(options === undefined ? [call] : [call, options])
    this.status = status
    const path = '/ck/chk-3'
    const lastCheckpoint = { id: 3, path, completedAtMs: 9000, durationMs: 5, bytes: 100 }
    this.end({ status, durationMs: 1500, metrics: metricsOf({ status, lastCheckpoint }), collected: {}, accumulators: {} })
    return this.done
  }

  private note(call: unknown): void {
    this.calls.push(call)
    if (this.failure !== undefined) throw this.failure
  }
}
