import type { MetricsSnapshot } from '../runtime/local/run-options.js'

/** Turns metrics of a running job into one line of text; keeps the snapshot before, for the rate. */
export class Progress {
  private before: MetricsSnapshot | undefined

  /** `running  1,204,000 in  3,412 out  81,300/s  watermark 2024-05-01T10:00:00.000Z  checkpoint 12 4 s ago` */
  describe(now: MetricsSnapshot): string {
    const parts = [now.status as string, `${count(now.recordsIn)} in`, `${count(now.recordsOut)} out`]
    const rate = this.rate(now)
    if (rate !== undefined) parts.push(`${count(rate)}/s`)
    parts.push(`watermark ${isoTime(now.watermark)}`)
    if (now.lastCheckpoint !== null) parts.push(`checkpoint ${now.lastCheckpoint.id} ${seconds(now.timeMs - now.lastCheckpoint.completedAtMs)} ago`)
    if (now.checkpoints.failed > 0) parts.push(`${now.checkpoints.failed} failed`)
    this.before = now
    return parts.join('  ')
  }

  /** Records read a second since the snapshot before; undefined for the first, or after a restart counted anew. */
  private rate(now: MetricsSnapshot): number | undefined {
    const before = this.before
    if (before === undefined || now.timeMs <= before.timeMs || now.recordsIn < before.recordsIn) return undefined
    return Math.round(((now.recordsIn - before.recordsIn) * 1000) / (now.timeMs - before.timeMs))
  }
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `-` when there is none, or when it is out of a date's range (the end of all input). */
export function isoTime(epochMs: number | null): string {
  if (epochMs === null) return '-'
  return Math.abs(epochMs) <= 8.64e15 ? new Date(epochMs).toISOString() : epochMs > 0 ? 'end' : '-'
}

const HOUR = 3_600_000

export function seconds(ms: number): string {
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`
  if (ms < 2 * HOUR) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`
  if (ms < 48 * HOUR) return `${Math.floor(ms / HOUR)} h ${Math.floor((ms % HOUR) / 60_000)} min`
  return `${Math.floor(ms / (24 * HOUR))} d ${Math.floor((ms % (24 * HOUR)) / HOUR)} h`
}

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = size
  let unit = -1
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${value.toFixed(1)} ${units[unit]}`
}
