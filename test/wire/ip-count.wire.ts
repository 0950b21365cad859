import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import ipCount from '../../examples/ip-count/job.js'
import { exampleFile } from '../examples/run-example.js'
import { writeTo } from '../write-to.js'
import { WiredJob } from './wired-job.js'

const linesOf = (file: string) =>
  readFileSync(exampleFile(`ip-count/${file}`), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
const LOG = linesOf('access.log')
const EXPECTED = linesOf('expected.jsonl').sort()
/** An access long after the last of the log: its watermark fires every window of the log, and its own stays open. */
const LAST_WORD = '10.0.0.1 4000000000000 GET / 200 1'

let printed: string
beforeEach(() => {
  printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation(writeTo((text) => (printed += text)))
  vi.spyOn(process.stderr, 'write').mockImplementation(writeTo(() => {}))
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** What was printed, each window once, without the number of the subtask that print() puts before them. */
function windows(): string[] {
  const lines = printed.split('\n').filter((line) => line.includes('"count"'))
  return [...new Set(lines.map((line) => line.slice(line.indexOf('{'))))].sort()
}

describe('ip-count on real protocols', () => {
  it('counts what the embedded engine counts, and goes on from a checkpoint', async () => {
    const job = await WiredJob.deploy(ipCount, ['--kinesis', 'access-log'], 2)
    await job.activate()
    const half = Math.floor(LOG.length / 2)
    await job.produce(LOG.slice(0, half))
    await job.run(() => printed !== '')
    // Nothing follows until the checkpoint is complete: it holds exactly what has not been printed by then.
    const checkpointId = await job.checkpoint()
    const before = windows()
    expect(before.length).toBeGreaterThan(0)
    expect(before.length).toBeLessThan(EXPECTED.length)

    await job.produce([...LOG.slice(half), LAST_WORD])
    await job.run(() => windows().length >= EXPECTED.length)
    expect(windows()).toEqual(EXPECTED)

    printed = ''
    const first = job.attempt
    await job.restore(checkpointId)
    expect(job.attempt).toBeGreaterThan(first)
    const after = EXPECTED.filter((window) => !before.includes(window))
    await job.run(() => windows().length >= after.length)
    expect(windows()).toEqual(after)
  })
})
