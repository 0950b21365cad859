import type { BenchResult } from './bench-result.js'
import { type ComparisonRow, isQuiet, type Medians, meansByParallelism } from './comparison.js'

/** What the columns of the two sides are called. */
export interface Sides {
  readonly base: string
  readonly candidate: string
}

/** Medians and ratios as a Markdown table, with the geometric mean of each parallelism. */
export function comparisonTable(rows: readonly ComparisonRow[], sides: Sides): string {
  const header = ['job', 'p', 'events', ...columns(sides.base), ...columns(sides.candidate), 'speed ratio', 'CPU ratio']
  const body = rows.map((row) => [
    row.job,
    String(row.parallelism),
    number(row.events, 0),
    ...cells(row.base),
    ...cells(row.candidate),
    number(row.speedRatio, 2),
    number(row.cpuRatio, 2),
  ])
  const means = meansByParallelism(rows).map(({ parallelism, speedRatio, cpuRatio }) => [
    'geometric mean',
    String(parallelism),
    ...Array.from({ length: header.length - 4 }, () => ''),
    number(speedRatio, 2),
    number(cpuRatio, 2),
  ])
  return [header, header.map(() => '---'), ...body, ...means].map((line) => `| ${line.join(' | ')} |`).join('\n')
}

function columns(side: string): string[] {
  return [`${side} events/s`, `${side} s`, `${side} CPU s`, `${side} RSS MB`]
}

function cells(medians: Medians): string[] {
  return [number(medians.eventsPerSec, 0), number(medians.runSec, 1), number(medians.cpuSec, 1), number(medians.maxRssMb, 0)]
}

function number(value: number, digits: number): string {
  if (Number.isNaN(value)) return ''
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** Sentences on runs that other processes disturbed; none when all were quiet. */
export function disturbances(runs: readonly BenchResult[]): string[] {
  return runs
    .filter((run) => !isQuiet(run))
    .map((run) => {
      const otherCores = number(run.otherCpuSec / run.submitToDoneSec, 2)
      return `other processes used ${otherCores} cores during ${run.engine} ${run.job} at parallelism ${run.parallelism} (${number(run.eventsPerSec, 0)} events/s)`
    })
}
