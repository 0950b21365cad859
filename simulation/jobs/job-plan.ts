import type { DataStream, StreamExecutionEnvironment } from '../../runtime/index.js'
import type { Any } from '../../runtime/plan/index.js'
import type { Item, Put } from './item.js'
import type { JobFacts } from './simulated-job.js'
import type { Timing } from './timing.js'

/** What a kind of job decides by chance; {@link GeneratedJob} makes a {@link SimulatedJob} of it. */
export interface JobPlan {
  /** Without splits and parallelism. */
  readonly name: string
  readonly streams: readonly PlannedStream[]
  readonly puts: readonly Put[]
  readonly sinks: readonly string[]
  readonly compare: 'exact' | 'history'
  readonly ends?: boolean
  readonly settleMs?: number
  define(scene: Scene): void
  /** What of an output does not depend on chance; all of it by default. */
  canonical?(sink: string, value: unknown): unknown
  check?(facts: JobFacts): string[]
}

export interface PlannedStream {
  readonly name: string
  readonly splits: number
  readonly timing: Timing
}

/** Where a job is described. */
export interface Scene {
  readonly env: StreamExecutionEnvironment
  /** Of what belongs to the sources' stages. */
  readonly sourceParallelism: number
  chance(): number
  /** The items of the stream, with timestamps and watermarks and without last words, still in the source's stage. */
  items(stream: string): DataStream<Item>
  /** Ends a stream of results. `own`: a stage for the sink alone. `source`: the results are made in a source's stage. */
  sink(name: string, results: Results, place?: 'own' | 'source'): void
}

/** A stream of whatever a job's outputs are. */
export type Results = DataStream<Any>
