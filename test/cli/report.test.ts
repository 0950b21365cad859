import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { formatError } from '../../cli/error-report.js'
import { LiveLine } from '../../cli/live-line.js'
import { writeMetricsFile } from '../../cli/metrics-file.js'
import { bytes, isoTime, Progress, seconds } from '../../cli/progress.js'
import { MillraceError } from '../../runtime/core/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { metricsOf } from './fake-handle.js'

/** What a person sees after everything that was written to the terminal: `\r` and erase-to-end-of-line applied. */
class Screen {
  private rows = ['']
  private column = 0

  stream(): NodeJS.WriteStream {
    const write = (chunk: string | Uint8Array): boolean => {
      const text = typeof chunk === 'string' ? chunk : new TextDecoder().decode(chunk)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the terminal's own erase sequence
      for (const part of text.split(/(\r|\n|\x1b\[K)/)) this.put(part)
      return true
    }
    return { isTTY: true, columns: 60, write } as unknown as NodeJS.WriteStream
  }

  get text(): string {
    return this.rows.join('\n')
  }

  private put(part: string): void {
    const row = this.rows.length - 1
    const old = this.rows[row] as string
    if (part === '\r') this.column = 0
    else if (part === '\n') this.column = this.rows.push('') * 0
    else if (part === '\x1b[K') this.rows[row] = old.slice(0, this.column)
    else {
      this.rows[row] = old.slice(0, this.column) + part + old.slice(this.column + part.length)
      this.column += part.length
    }
  }
}

describe('LiveLine', () => {
  it('never mixes with what is printed, and is gone at the end', async () => {
    const screen = new Screen()
    const [stderr, stdout] = [screen.stream(), screen.stream()]
    const before = stdout.write
    const line = new LiveLine(stderr, [stdout])
    line.show('running  10 in')
    expect(screen.text).toBe('running  10 in')
    stdout.write('a\n')
    stdout.write(new TextEncoder().encode('b\n'))
    line.show('running  20 in')
    expect(screen.text).toBe('a\nb\nrunning  20 in')
    stdout.write('half')
    line.show('running  30 in')
    expect(screen.text).toBe('a\nb\nhalf')
    stdout.write(' whole\n')
    await wait(100)
    expect(screen.text).toBe('a\nb\nhalf whole\nrunning  30 in')
    line.show('x')
    expect(screen.text).toBe('a\nb\nhalf whole\nx')
    stderr.write('note\n')
    line.close()
    expect(screen.text).toBe('a\nb\nhalf whole\nnote\n')
    expect(stdout.write).toBe(before)
  })

  it('is never wider than the terminal', () => {
    const screen = new Screen()
    const line = new LiveLine(screen.stream(), [])
    line.show('x'.repeat(200))
    expect(screen.text).toBe('x'.repeat(59))
    line.close()
  })
})

describe('Progress', () => {
  it('tells rates, watermark and the age of the last checkpoint', () => {
    const progress = new Progress()
    expect(progress.describe(metricsOf({ recordsIn: 1000, recordsOut: 3 }))).toBe('running  1,000 in  3 out  watermark -')
    const lastCheckpoint = { id: 12, path: 'p', completedAtMs: 8000, durationMs: 5, bytes: 9 }
    const next = metricsOf({ recordsIn: 2000, recordsOut: 3, timeMs: 10_500, lastCheckpoint, watermark: 0 })
    expect(progress.describe(next)).toBe('running  2,000 in  3 out  2,000/s  watermark 1970-01-01T00:00:00.000Z  checkpoint 12 2.5 s ago')
    expect(progress.describe(metricsOf({ recordsIn: 5, timeMs: 11_000, status: 'restarting' }))).toBe('restarting  5 in  0 out  watermark -')
  })

  it('shows units', () => {
    expect([isoTime(null), isoTime(Number.MAX_SAFE_INTEGER), isoTime(-Number.MAX_VALUE)]).toEqual(['-', 'end', '-'])
    expect([seconds(1234), seconds(61_000), seconds(125_000)]).toEqual(['1.2 s', '61 s', '2 min 5 s'])
    expect([bytes(100), bytes(2048), bytes(5 * 1024 ** 3)]).toEqual(['100 B', '2.0 KiB', '5.0 GiB'])
  })
})

describe('writeMetricsFile', () => {
  it('replaces the file whole and leaves nothing beside it', async () => {
    const dir = await tempFolder()
    const file = join(dir, 'm.json')
    await writeMetricsFile(file, metricsOf({ recordsIn: 1 }))
    await writeMetricsFile(file, metricsOf({ recordsIn: 2 }))
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ job: 'bids', recordsIn: 2 })
    expect(await readdir(dir)).toEqual(['m.json'])
    await expect(writeMetricsFile(join(dir, 'absent', 'm.json'), metricsOf())).rejects.toMatchObject({ code: 'STORAGE' })
  })
})

describe('formatError', () => {
  it('shows the message of a MillraceError, and stacks only when asked', () => {
    const error = new MillraceError('STORAGE', { what: 'It broke', todo: 'Mend it.', cause: new Error('ENOSPC') })
    expect(formatError(error, false)).toBe('STORAGE: It broke (ENOSPC)\n  what to do: Mend it.')
    expect(formatError(error, true)).toMatch(/report\.test\.ts[\s\S]*caused by: Error: ENOSPC\n\s+at /)
  })

  it('keeps the stack of anything else', () => {
    expect(formatError(new TypeError('x is not a function'), false)).toMatch(/TypeError: x is not a function\n\s+at /)
    expect(formatError('text', false)).toBe('text')
  })
})
