import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type JobEvent, type JobResult, type RunOptions, run } from 'millrace'
import { describe, expect, it } from 'vitest'
import { tempFolder } from '../backends/temp-folder.js'
import { kindsOf, sorted, throughSavepoints, until } from '../local/run-job.js'
import asyncJob from './jobs/async-job.mjs'

type Options = RunOptions & { readonly parameters: Record<string, string> }

async function start(options: Options) {
  const events: JobEvent[] = []
  const jobModule = new URL('./jobs/async-job.mjs', import.meta.url)
  const handle = await run(asyncJob, { autoWatermarkIntervalMs: 5, ...options, jobModule, onEvent: (event) => events.push(event) })
  return { handle, events, completed: () => events.filter((event) => event.kind === 'checkpoint-completed').length }
}

/** What the job should give, computed plainly. */
function squaresTo(count: number): { i: number; square: number }[] {
  return Array.from({ length: count }, (_, i) => ({ i, square: i * i })).filter(({ i }) => i % 10 !== 9)
}

function sumsTo(count: number): unknown[] {
  const sums = new Map<string, { key: number; start: number; sum: number }>()
  for (const { i, square } of squaresTo(count)) {
    const [key, start] = [i % 3, i - (i % 100)]
    const id = `${key} ${start}`
    sums.set(id, { key, start, sum: (sums.get(id)?.sum ?? 0) + square })
  }
  return [...sums.values()]
}

function expectResults(results: readonly JobResult[], count: number): void {
  expect(sorted(results.flatMap(({ collected }) => collected.squares ?? []))).toEqual(sorted(squaresTo(count)))
  expect(sorted(results.flatMap(({ collected }) => collected.sums ?? []))).toEqual(sorted(sumsTo(count)))
}

describe('slot-sharing groups', () => {
  it.each([[undefined], [3], [1]])('run in threads of their own (%s)', async (threads) => {
    const parameters = { count: '2000', mode: 'unordered', group: 'windows' }
    const { handle } = await start({ parallelism: 2, ...(threads && { threads }), parameters })
    expectResults([await handle.result()], 2_000)
  })
})

describe.each(['ordered', 'unordered'])('%s calls', (mode) => {
  it.each([
    [1, 0],
    [2, 2],
    [3, 2],
  ])('give every result once and no watermark too early at parallelism %i in %i threads', async (parallelism, threads) => {
    const { handle } = await start({ parallelism, threads, parameters: { count: '2000', mode } })
    const result = await handle.result()
    expectResults([result], 2_000)
    expect(result.accumulators).toEqual({ squares: squaresTo(2_000).length })
    if (mode === 'ordered') {
      const order = (result.collected.squares as { i: number }[]).map(({ i }) => i)
      for (let subtask = 0; subtask < parallelism; subtask++) {
        const own = order.filter((i) => i % parallelism === subtask)
        expect(own).toEqual([...own].sort((a, b) => a - b))
      }
    }
  })

  it('are made again after a failure, and count once', async () => {
    const folder = await tempFolder()
    const marker = join(folder, 'died')
    const { handle, events } = await start({
      parallelism: 2,
      threads: 2,
      checkpointDir: join(folder, 'ck'),
      checkpointIntervalMs: 20,
      restartStrategy: { kind: 'fixed-delay', attempts: 3, delayMs: 0 },
      parameters: { count: '3000', rate: '6000', mode, 'die-once': marker, 'die-at': '2000' },
    })
    expectResults([await handle.result()], 3_000)
    expect(existsSync(marker)).toBe(true)
    expect(kindsOf(events)).toContain('restarting')
    expect(kindsOf(events).filter((kind) => kind === 'checkpoint-completed').length).toBeGreaterThan(1)
  })

  it('go through savepoints at parallelism 2, 3, 1', async () => {
    const parameters = { count: '1500', rate: '3000', mode, capacity: '5' }
    const results = await throughSavepoints([2, 3, 1], async (options) => {
      const { handle } = await start({ ...options, threads: options.parallelism, parameters })
      return handle
    })
    // Windows that were open at a savepoint fire once: sums are final only when nothing was lost or doubled.
    expectResults(results, 1_500)
  })

  it('come to their end when the job is drained', async () => {
    const { handle } = await start({ parallelism: 2, threads: 2, parameters: { count: '1000000', rate: '2000', mode } })
    await until(() => handle.status === 'running')
    await new Promise((resolve) => setTimeout(resolve, 150))
    const result = await handle.stop({ drain: true })
    const squares = result.collected.squares as { i: number; square: number }[]
    expect(squares.length).toBeGreaterThan(10)
    for (const subtask of [0, 1]) {
      // Of each subtask's numbers every one up to the last, none pending left behind.
      const own = squares.filter(({ i }) => i % 2 === subtask)
      const last = Math.max(...own.map(({ i }) => i))
      expect(sorted(own)).toEqual(sorted(squaresTo(last + 1).filter(({ i }) => i % 2 === subtask)))
    }
    const total = (result.collected.sums as { sum: number }[]).reduce((sum, window) => sum + window.sum, 0)
    expect(total).toBe(squares.reduce((sum, { square }) => sum + square, 0))
  })
})
