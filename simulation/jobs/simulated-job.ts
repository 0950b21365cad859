import type { Sink } from '../../runtime/index.js'
import type { CompiledJob } from '../../runtime/plan/index.js'

import type { Poison } from './guard.js'

/** What the world gives a job. */
export interface JobBindings {
  /** The outside behind the sink of this name. */
  sinkFor(name: string): Sink<unknown>
  /** Uniform in [0, 1): what user code calls chance. Work that is done again must get other values. */
  chance(): number
  /** Whether the job's function throws for the item now; it never does by default. */
  throwsFor?(id: number): boolean
}

/** What a producer puts into a stream. */
export interface ProducedRecord {
  readonly stream: string
  readonly partitionKey: string
  readonly data: Uint8Array
  /** Of the item in it. */
  readonly id: number
}

/** A job for the simulated world, what goes in, and what must come out. */
export interface SimulatedJob {
  /** Says what it is, such as "tumbling sum 100 ms, splits 3, p 2". */
  readonly name: string
  readonly kind: string
  readonly parallelism: number
  readonly maxParallelism: number
  /** Streams outside, with the number of splits that each begins with. The uid of a stream's source is the stream's name. */
  readonly streams: readonly { readonly name: string; readonly splits: number }[]
  /** In the order in which producers put them. Records of one partition key must be read in this order. */
  readonly records: readonly ProducedRecord[]
  /** The uids of the sinks are their names. */
  readonly sinks: readonly string[]
  /**
   * `exact`: the outputs, as {@link canonical} has them, do not depend on how inputs interleave nor on when watermarks come.
   * `history`: only {@link check} can tell.
   */
  readonly compare: 'exact' | 'history'
  /**
   * Whether the splits end behind their last records. Where they do not, each open split gets {@link lastWord} behind its records, once or more
   * often; where they do it may.
   */
  readonly ends: boolean
  /** So many ms after the last record, on the slowest clock, everything has fired; 0 for a job that does not look at the clock. */
  readonly settleMs: number
  readonly poison: Poison | undefined
  /**
   * Describes the job anew, with function objects of its own. Sources (and what is chained to them) have parallelism 1 in the plan: the splits are
   * their subtasks. Every other operator has `parallelism`, at most `maxParallelism`, but for those that see the whole stream.
   */
  describe(parallelism: number, bindings: JobBindings): CompiledJob
  /** Data that moves a split's watermark behind everything, so that everything fires. */
  lastWord(stream: string): Uint8Array
  /**
   * What must come out, by sink and sorted, as {@link canonical} has it: what the embedded engine's operators make of the records in the order of
   * {@link records}. For a `history` job it is one outcome of many. Every sink has an entry.
   */
  expected(): Promise<ReadonlyMap<string, readonly string[]>>
  /** An output as text, without what depends on chance. */
  canonical(sink: string, value: unknown): string
  /** Says what is wrong with the outputs, each in a line. */
  check(facts: JobFacts): string[]
}

/** What is known of a run once everything has come to rest. */
export interface JobFacts {
  /**
   * By sink, in the order in which they were applied: outputs of all commits that stand. Those that a restore has undone (commits behind the cut of
   * the checkpoint that was restored) are not among them.
   */
  readonly outputs: ReadonlyMap<string, readonly OutputFact[]>
  /** Every parallelism that the job has been described with. */
  readonly parallelisms: readonly number[]
  /** How many splits there have been in all, by stream; without it fewer things are checked. */
  readonly splits?: ReadonlyMap<string, number>
}

export interface OutputFact {
  readonly value: unknown
}
