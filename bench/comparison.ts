import type { BenchResult } from './bench-result.js'
import { geometricMean, median } from './statistics.js'

/** Other processes disturb a run when they take more than this share of a core. */
const QUIET_CORES = 0.1

/** Runs of one job at one parallelism in the two ways that are compared. */
export interface Comparison {
  readonly job: string
  readonly parallelism: number
  readonly base: readonly BenchResult[]
  readonly candidate: readonly BenchResult[]
}

/** Medians of a comparison. Ratios are candidate to base. */
export interface ComparisonRow {
  readonly job: string
  readonly parallelism: number
  readonly events: number
  readonly base: Medians
  readonly candidate: Medians
  readonly speedRatio: number
  readonly cpuRatio: number
}

export interface Medians {
  readonly eventsPerSec: number
  readonly runSec: number
  readonly cpuSec: number
  readonly maxRssMb: number
  readonly ckptDurAvgMs: number
  readonly ckptCompleted: number
}

export function compareMedians(comparison: Comparison): ComparisonRow {
  const base = medians(comparison.base)
  const candidate = medians(comparison.candidate)
  return {
    job: comparison.job,
    parallelism: comparison.parallelism,
    events: comparison.base[0].events,
    base,
    candidate,
    speedRatio: candidate.eventsPerSec / base.eventsPerSec,
    cpuRatio: candidate.cpuSec / base.cpuSec,
  }
}

function medians(runs: readonly BenchResult[]): Medians {
  const of = (field: (run: BenchResult) => number | undefined): number => median(runs.map((run) => field(run) ?? Number.NaN))
  return {
    eventsPerSec: of((run) => run.eventsPerSec),
    runSec: of((run) => run.runSec),
    cpuSec: of((run) => run.cpuSec),
    maxRssMb: of((run) => run.maxRssMb),
    ckptDurAvgMs: of((run) => run.ckptDurAvgMs),
    ckptCompleted: of((run) => run.ckptCompleted),
  }
}

/** One sentence for each job whose runs do not all have the same outputs and hash; none when all agree. */
export function differingResults(runs: readonly BenchResult[]): string[] {
  const resultsByInput = new Map<string, Map<string, string>>()
  for (const run of runs) {
    const input = `${run.job}, ${run.events} events, ${run.eps} a second`
    const results = resultsByInput.get(input) ?? new Map<string, string>()
    resultsByInput.set(input, results)
    const result = `${run.outputs} outputs, hash ${run.hash}`
    if (!results.has(result)) results.set(result, `${run.engine} at parallelism ${run.parallelism}: ${result}`)
  }
  return [...resultsByInput].filter(([, results]) => results.size > 1).map(([input, results]) => `${input}: ${[...results.values()].join('; ')}`)
}

/** Whether other processes of the machine hardly ran meanwhile. */
export function isQuiet(run: BenchResult): boolean {
  return run.otherCpuSec / run.submitToDoneSec < QUIET_CORES
}

/** Geometric means of the rows of each parallelism, in order of parallelism. */
export function meansByParallelism(
  rows: readonly ComparisonRow[],
): { readonly parallelism: number; readonly speedRatio: number; readonly cpuRatio: number }[] {
  const levels = [...new Set(rows.map((row) => row.parallelism))].sort((a, b) => a - b)
  return levels.map((parallelism) => {
    const level = rows.filter((row) => row.parallelism === parallelism)
    return {
      parallelism,
      speedRatio: geometricMean(level.map((row) => row.speedRatio)),
      cpuRatio: geometricMean(level.map((row) => row.cpuRatio)),
    }
  })
}
