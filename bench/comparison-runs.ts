import type { BenchResult } from './bench-result.js'
import type { Comparison } from './comparison.js'
import { defaultEvents } from './default-events.js'
import { type Engine, type EngineRun, type RunOutcome, runInProcess } from './engine-process.js'
import type { JobName } from './jobs/index.js'

export interface CompareOptions {
  readonly jobs: readonly JobName[]
  /** Parallelisms. */
  readonly parallelism: readonly number[]
  readonly rounds: number
  readonly scale: number
  readonly eps: number
}

/** One of the two ways of running that are compared. */
export interface Side {
  readonly name: string
  readonly engine: Engine
  /** Checkpoint interval, ms; 0: none. */
  readonly checkpoint: number
}

export type ComparisonOutcome = { readonly kind: 'compared'; readonly comparisons: readonly Comparison[] } | Extract<RunOutcome, { kind: 'failed' }>

/** Every job at every parallelism, the sides in turn, so that a change of the machine meets both. Stops at the first failure. */
export async function runComparisons(
  base: Side,
  candidate: Side,
  options: CompareOptions,
  onResult: (result: BenchResult) => void,
  startRun: (run: EngineRun) => Promise<RunOutcome> = runInProcess,
): Promise<ComparisonOutcome> {
  const comparisons: Comparison[] = []
  for (const parallelism of options.parallelism) {
    for (const job of options.jobs) {
      const runs = new Map<Side, BenchResult[]>([
        [base, []],
        [candidate, []],
      ])
      for (let round = 0; round < options.rounds; round++) {
        // The side that starts changes with the round.
        for (const side of round % 2 === 0 ? [base, candidate] : [candidate, base]) {
          const { engine, checkpoint } = side
          const events = defaultEvents(job, parallelism, options.scale)
          const outcome = await startRun({ engine, job, events, parallelism, checkpoint, state: 'heap', eps: options.eps })
          if (outcome.kind === 'failed') return outcome
          runs.get(side)?.push(outcome.result)
          onResult(outcome.result)
        }
      }
      comparisons.push({ job, parallelism, base: runs.get(base) ?? [], candidate: runs.get(candidate) ?? [] })
    }
  }
  return { kind: 'compared', comparisons }
}
