import type { RestartStrategy } from '../checkpoint/restart-strategy.js'
import type { AccumulatorPart } from '../core/index.js'
import type { FileSystem } from '../ports/index.js'

export type { RestartStrategy }

/** Options of {@link run}. */
export interface RunOptions {
  /** Default parallelism of the job's operators (nearest wins: operator, environment, this, 1). */
  readonly parallelism?: number
  /** Number of key groups, 1 to 32768; 128 by default. Fixed for the life of the job's state. */
  readonly maxParallelism?: number
  /** The job's own parameters: `['--input', 'x.log']` or `{ input: 'x.log' }`. */
  readonly parameters?: readonly string[] | Readonly<Record<string, string>>
  /**
   * What streams, tables and buckets that sources and sinks name logically are called: `{ accessLog: 'access-log-dev' }`. Default: the names
   * themselves. Throws OPTION_INVALID for a name that no source or sink has.
   */
  readonly bindings?: Readonly<Record<string, string>> | undefined
  /** Folder for checkpoints; without it there are none and a failure starts from the beginning. */
  readonly checkpointDir?: string
  /** Milliseconds between checkpoints; 10,000 by default when checkpointDir is given; 0 switches periodic ones off. */
  readonly checkpointIntervalMs?: number
  /** Least pause between the end of one checkpoint and the start of the next, ms. Default 0. */
  readonly minPauseBetweenCheckpointsMs?: number
  /** A checkpoint that takes longer is aborted, ms. Default 600,000. */
  readonly checkpointTimeoutMs?: number
  /** Default 1. */
  readonly maxConcurrentCheckpoints?: number
  /** at-least-once does not hold back channels during alignment. */
  readonly checkpointMode?: 'exactly-once' | 'at-least-once'
  /** How many completed checkpoints stay in the folder. Default 1. */
  readonly retainedCheckpoints?: number
  /** Failed checkpoints in a row that fail the job. Default 0, as in Flink: the first one does. */
  readonly tolerableFailedCheckpoints?: number
  /** `latest` in checkpointDir (nothing there: a fresh start), or the path of a checkpoint or savepoint. */
  readonly restoreFrom?: string
  /** State in the checkpoint whose operator the job no longer has is dropped instead of refused. */
  readonly allowNonRestoredState?: boolean
  readonly restartStrategy?: RestartStrategy
  /**
   * Worker threads for the subtasks; 0 runs everything in the calling thread. Default: 0 at parallelism 1, else one a slot.
   * With threads the job module is imported again in each, so closures do not share variables with the caller.
   */
  readonly threads?: number
  /** URL or path of the compiled job module (default export by defineJob), for worker threads. Default: the module that called defineJob. */
  readonly jobModule?: string | URL
  /** Interval of periodic watermarks, ms of processing time. Default 200. */
  readonly autoWatermarkIntervalMs?: number
  /** How long a record may wait in a batch that is not full, ms. Default 100. */
  readonly bufferTimeoutMs?: number
  /** @internal Disk of the checkpoints, for tests of failing ones; only with `threads: 0`. */
  readonly fileSystem?: FileSystem
  /** Told of checkpoints, restarts and state changes as they happen. */
  readonly onEvent?: (event: JobEvent) => void
}

/** What a job is doing. */
export type JobStatus = 'starting' | 'running' | 'restarting' | 'stopping' | 'finished' | 'cancelled' | 'failed'

/** What happens to a running job, as told to its observer. */
export type JobEvent =
  | { readonly kind: 'status'; readonly status: JobStatus }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'restored'; readonly checkpointId: number; readonly path: string }
  | { readonly kind: 'checkpoint-started'; readonly checkpointId: number }
  | {
      readonly kind: 'checkpoint-completed'
      readonly checkpointId: number
      readonly path: string
      readonly durationMs: number
      readonly bytes: number
    }
  | { readonly kind: 'checkpoint-failed'; readonly checkpointId: number; readonly error: string }
  | { readonly kind: 'failure'; readonly error: string; readonly restartInMs: number | undefined }

/** Metrics of one operator in one subtask. */
export interface OperatorMetricsSnapshot {
  readonly uid: string
  readonly name: string
  readonly vertex: string
  readonly subtask: number
  readonly recordsIn: number
  readonly recordsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly late: number
  /** epoch ms, null before the first and after the last. */
  readonly watermark: number | null
  /** Processing time minus watermark, ms; null when unknown. */
  readonly watermarkLagMs: number | null
  readonly stateEntries: number
  readonly checkpointBytes: number
  readonly counters: Readonly<Record<string, number>>
  readonly gauges: Readonly<Record<string, number>>
  /** This subtask's parts of the job's accumulators. */
  readonly accumulators?: Readonly<Record<string, AccumulatorPart>>
}

/** Metrics of one subtask. */
export interface SubtaskMetricsSnapshot {
  readonly vertex: string
  readonly subtask: number
  readonly busyMs: number
  readonly backPressuredMs: number
  readonly idleMs: number
}

/** A job's metrics at one moment. Times are epoch ms, durations ms. */
export interface MetricsSnapshot {
  readonly job: string
  readonly status: JobStatus
  readonly timeMs: number
  readonly attempt: number
  readonly lastCheckpoint: {
    readonly id: number
    readonly path: string
    readonly completedAtMs: number
    readonly durationMs: number
    readonly bytes: number
  } | null
  readonly checkpoints: { readonly completed: number; readonly failed: number; readonly inProgress: number }
  readonly operators: readonly OperatorMetricsSnapshot[]
  readonly subtasks: readonly SubtaskMetricsSnapshot[]
  /** Records read by sources and written by sinks, over all subtasks. */
  readonly recordsIn: number
  readonly recordsOut: number
  /** Smallest watermark over all operators, epoch ms. */
  readonly watermark: number | null
}

/** How a job ended. */
export interface JobResult {
  readonly status: 'finished' | 'cancelled'
  readonly durationMs: number
  readonly metrics: MetricsSnapshot
  /** Elements of `collect()` sinks by name, in order of arrival per subtask. */
  readonly collected: Readonly<Record<string, readonly unknown[]>>
  /** Results of the functions' accumulators by name, over all subtasks of the last attempt. */
  readonly accumulators: Readonly<Record<string, unknown>>
  /** Path of the savepoint when the job was stopped with one. */
  readonly savepoint?: string
}

/** A started job (Flink's JobClient): to watch it, stop it, cancel it, and wait for its end. */
export interface JobHandle {
  readonly jobName: string
  readonly status: JobStatus
  /** Resolves when the job has finished or was cancelled; rejects with a MillraceError when it failed. */
  result(): Promise<JobResult>
  metrics(): Promise<MetricsSnapshot>
  /** Ends at once, without a checkpoint; retained checkpoints stay. */
  cancel(): Promise<JobResult>
  /** Takes a savepoint and goes on. Returns its path. */
  savepoint(directory: string): Promise<string>
  /**
   * Stops after a last savepoint (in `savepointDir`, or a last checkpoint in checkpointDir). With `drain` sources end as if their input were
   * over: watermark to the maximum, all windows fire, sinks commit everything; then the job is not to be resumed.
   */
  stop(options?: { readonly savepointDir?: string; readonly drain?: boolean }): Promise<JobResult>
}
