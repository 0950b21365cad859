import type { JobResult } from 'millrace'

/** What became of the lines of a run. */
export interface Summary {
  readonly lines: number
  readonly counted: number
  readonly late: number
  readonly malformed: number
  readonly windows: number
  readonly durationMs: number
}

/** Adds up the counters that the job keeps. */
export function summarise(result: JobResult): Summary {
  const sum = (name: string) => result.metrics.operators.reduce((total, { counters }) => total + (counters[name] ?? 0), 0)
  return {
    lines: sum('lines'),
    counted: sum('counted'),
    late: sum('late'),
    malformed: sum('malformed'),
    windows: sum('windows'),
    durationMs: result.durationMs,
  }
}

/** Whether each line was counted once, was late, or was malformed. */
export function addsUp({ lines, counted, late, malformed }: Summary): boolean {
  return lines === counted + late + malformed
}

export function formatSummary(summary: Summary): string {
  const { lines, counted, late, malformed, windows, durationMs } = summary
  const sum = `${whole(lines)} lines ${addsUp(summary) ? '=' : 'but'} ${whole(counted)} counted + ${whole(late)} late + ${whole(malformed)} malformed`
  const rate = durationMs > 0 ? `, ${whole(Math.round((lines * 1_000) / durationMs))} lines/s` : ''
  return `${sum}\n${whole(windows)} windows, ${(durationMs / 1_000).toFixed(2)} s${rate}`
}

function whole(n: number): string {
  return n.toLocaleString('en-US')
}
