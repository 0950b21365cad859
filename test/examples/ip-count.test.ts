import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import ipCount from '../../examples/ip-count/job.js'
import { addsUp, formatSummary, summarise } from '../../examples/ip-count/summary.js'
import { expected, runExample, sorted, temporaryFolder } from './run-example.js'

describe('ip-count', () => {
  it.each([1, 4])('counts the log that ships with it at parallelism %i, with its late and malformed lines', async (parallelism) => {
    const folder = temporaryFolder()
    const [malformed, late] = ['malformed.jsonl', 'late.jsonl'].map((name) => join(folder, name))
    const { text, result } = await runExample(ipCount, ['--malformed', malformed, '--late', late], { parallelism })
    expect(sorted(text)).toEqual(sorted(expected('ip-count/expected.jsonl')))
    const summary = summarise(result)
    expect(summary).toMatchObject({ lines: 2897, counted: 2835, late: 50, malformed: 12, windows: 425 })
    expect(addsUp(summary)).toBe(true)
    expect(sorted(readFileSync(late, 'utf8'))).toHaveLength(50)
    const log = expected('ip-count/access.log').split('\n')
    const put = sorted(readFileSync(malformed, 'utf8')).map((line) => JSON.parse(line))
    expect(put).toHaveLength(12)
    for (const { line, lineNumber, reason } of put) {
      expect(log[lineNumber - 1]).toBe(line)
      expect(reason).toMatch(/./)
    }
  })

  it('knows a late access from one that is only out of order', async () => {
    const input = join(temporaryFolder(), 'access.log')
    const at = (ms: number) => `10.0.0.1 ${1_600_000_000_000 + ms} GET / 200 1\n`
    // The window [0, 5000) fires at watermark 4999, when a line of 6000 has come.
    writeFileSync(input, at(0) + at(5_999) + at(4_999) + at(6_000) + at(4_999) + at(5_000))
    const { text, result } = await runExample(ipCount, ['--input', input])
    expect(sorted(text)).toEqual([
      '{"ip":"10.0.0.1","start":1600000000000,"end":1600000005000,"count":2}',
      '{"ip":"10.0.0.1","start":1600000005000,"end":1600000010000,"count":3}',
    ])
    expect(summarise(result)).toMatchObject({ lines: 6, counted: 5, late: 1, malformed: 0, windows: 2 })
  })

  it('refuses two inputs', async () => {
    await expect(runExample(ipCount, ['--input', 'a', '--follow', 'b'])).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('says when the numbers do not add up', () => {
    const summary = { lines: 1_000, counted: 990, late: 5, malformed: 4, windows: 7, durationMs: 500 }
    expect(addsUp(summary)).toBe(false)
    expect(formatSummary(summary)).toBe('1,000 lines but 990 counted + 5 late + 4 malformed\n7 windows, 0.50 s, 2,000 lines/s')
    expect(formatSummary({ ...summary, counted: 991 })).toContain('1,000 lines = 991 counted + 5 late + 4 malformed')
  })
})
