import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'

const bench = path.resolve('dist/bench/main.js')
const stateSize = path.resolve('dist/bench/state-size.js')

async function run(...args: string[]): Promise<Record<string, unknown>> {
  const { stdout } = await promisify(execFile)(process.execPath, [bench, ...args])
  const lines = stdout.trimEnd().split('\n')
  expect(lines).toHaveLength(1)
  return JSON.parse(lines[0])
}

describe('npm run bench', () => {
  test('prints one line of JSON; worker threads give the reference result', async () => {
    const result = await run(
      'q5',
      '--events',
      '60000',
      '--parallelism',
      '2',
      '--eps',
      '500',
      '--threads',
      '2',
      '--checkpoint',
      '50',
      '--state',
      'heap',
    )
    expect(result).toMatchObject({ job: 'q5', events: 60_000, parallelism: 2, threads: 2, checkpointMs: 50, outputs: 64, hash: 139_358_485_563 })
    for (const field of ['runSec', 'eventsPerSec', 'cpuSec', 'maxRssMb']) expect(result[field]).toBeGreaterThan(0)
  })

  test.each([
    [['q9'], 'q9'],
    [['q5', '--events', '5x'], '--events'],
    [['q5', '--parallelism', '0'], '--parallelism'],
    [['q5', '--state', 'rocksdb'], '--state'],
    [['q5', '--speed', 'high'], '--speed'],
  ])('%j is refused', async (args, named) => {
    await expect(run(...args)).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining(named) })
  })
})

test.each(['abc', '0', '10,x', ''])('npm run bench:state refuses %j as numbers of keys', async (keys) => {
  const run = promisify(execFile)(process.execPath, [stateSize, '--keys', keys])
  await expect(run).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('--keys') })
})
