import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type JobEvent, type JobResult, type RunOptions, run } from 'millrace'
import { describe, expect, test } from 'vitest'
import { tempFolder } from '../backends/temp-folder.js'
import countingJob from './jobs/counting-job.mjs'
import { kindsOf, sorted, throughSavepoints, until } from './run-job.js'

/** In worker threads, which import the job module themselves and the engine from dist. */
async function start(options: RunOptions & { readonly parameters: Record<string, string> }) {
  const events: JobEvent[] = []
  const jobModule = new URL('./jobs/counting-job.mjs', import.meta.url)
  const handle = await run(countingJob, { autoWatermarkIntervalMs: 10, ...options, jobModule, onEvent: (event) => events.push(event) })
  const completed = () => events.filter((event) => event.kind === 'checkpoint-completed').length
  return { handle, events, completed }
}

function countsTo(count: number) {
  return Array.from({ length: count }, (_, i) => ({ key: i % 7, n: Math.floor(i / 7) + 1 }))
}

function sumsTo(count: number) {
  const sums = new Map<string, { key: number; start: number; sum: number }>()
  for (let i = 0; i < count; i++) {
    const [key, start] = [i % 7, i - (i % 100)]
    const id = `${key} ${start}`
    sums.set(id, { key, start, sum: (sums.get(id)?.sum ?? 0) + i })
  }
  return [...sums.values()]
}

function expectResults(results: readonly JobResult[], count: number): void {
  expect(sorted(results.flatMap(({ collected }) => collected.counts ?? []))).toEqual(sorted(countsTo(count)))
  expect(sorted(results.flatMap(({ collected }) => collected.sums ?? []))).toEqual(sorted(sumsTo(count)))
}

describe('worker threads', () => {
  for (const [parallelism, threads] of [
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 1],
  ]) {
    test(`parallelism ${parallelism} in ${threads} threads`, async () => {
      const { handle } = await start({ parallelism, threads, parameters: { count: '20000' } })
      expectResults([await handle.result()], 20_000)
    })
  }

  test('a job goes through savepoints at parallelism 1, 2, 3, 1', async () => {
    const parameters = { count: '3000', rate: '5000' }
    const results = await throughSavepoints([1, 2, 3, 1], async (options) => {
      const { handle } = await start({ ...options, threads: options.parallelism, parameters })
      return handle
    })
    expectResults(results, 3_000)
  })

  test('a worker that exits is WORKER_LOST, and the job restarts from its last checkpoint', async () => {
    const folder = await tempFolder()
    const { handle, events } = await start({
      parallelism: 2,
      threads: 2,
      parameters: { count: '3000', rate: '6000', 'die-once': join(folder, 'died'), 'die-at': '1500' },
      checkpointDir: join(folder, 'checkpoints'),
      checkpointIntervalMs: 30,
      restartStrategy: { kind: 'fixed-delay', attempts: 1, delayMs: 0 },
    })
    const result = await handle.result()
    expectResults([result], 3_000)
    expect(existsSync(join(folder, 'died'))).toBe(true)
    const failures = events.filter((event) => event.kind === 'failure')
    expect(failures).toHaveLength(1)
    expect(failures[0].error).toMatch(/WORKER_LOST: worker thread \d ended: exit code 7/)
    expect(failures[0].error).toContain('what to do:')
  })

  test('a lost worker without a restart fails the job', async () => {
    const folder = await tempFolder()
    const { handle, events } = await start({ parallelism: 2, threads: 2, parameters: { 'die-once': join(folder, 'died'), 'die-at': '10' } })
    await expect(handle.result()).rejects.toMatchObject({ code: 'WORKER_LOST' })
    expect(kindsOf(events).at(-1)).toBe('failed')
  })

  test('checkpoints of threads restore in the calling thread, and the other way round', async () => {
    const checkpointDir = await tempFolder()
    const common = { checkpointDir, checkpointIntervalMs: 20, parameters: { count: '5000', rate: '5000' } }
    const results: JobResult[] = []
    for (const threads of [0, 2, 0]) {
      const { handle, completed } = await start({ ...common, parallelism: 2, threads, restoreFrom: 'latest' })
      if (results.length < 2) await until(() => completed() >= 2)
      results.push(results.length < 2 ? await handle.stop() : await handle.result())
    }
    expectResults(results, 5_000)
  })

  for (const [poison, what] of [
    ['function', 'function'],
    ['instance', 'instance of Poison'],
  ]) {
    test(`a record with a ${poison} cannot cross to another thread, which is said`, async () => {
      const { handle } = await start({ parallelism: 2, threads: 2, parameters: { poison } })
      const error = await handle.result().then(
        () => undefined,
        (thrown) => thrown,
      )
      expect(error).toMatchObject({ code: 'RECORD_UNSERIALISABLE' })
      expect(error.message).toContain(what)
      expect(error.message).toContain('output of operator "Map" (uid as-objects)')
      expect(error.message).toContain('what to do:')
    })
  }
})
