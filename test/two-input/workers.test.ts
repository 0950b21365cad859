import { type JobResult, type RunOptions, run } from 'millrace'
import { expect, test } from 'vitest'
import { sorted, throughSavepoints } from '../local/run-job.js'
import twoInputsJob from './jobs/two-inputs-job.mjs'

/** In worker threads, which import the job module themselves and the engine from dist. */
function start(options: RunOptions & { readonly parameters: Record<string, string> }) {
  return run(twoInputsJob, { autoWatermarkIntervalMs: 10, ...options, jobModule: new URL('./jobs/two-inputs-job.mjs', import.meta.url) })
}

function expectResults(results: readonly JobResult[], count: number): void {
  const collected = (name: string) => sorted(results.flatMap((result) => result.collected[name] ?? []))
  const numbers = Array.from({ length: count }, (_, i) => i)
  const near = numbers.flatMap((l) => [l - 11, l, l + 11, l + 22].filter((r) => r >= 0 && r < count).map((r) => [l, r, Math.max(l, r)]))
  expect(collected('near')).toEqual(sorted(near))
  const groups = new Map<string, [string, number, number, number]>()
  for (const i of numbers) {
    const [key, window] = [`key ${i % 11}`, Math.floor(i / 100)]
    const group = groups.get(`${key} ${window}`) ?? [key, window, 0, 0]
    groups.set(`${key} ${window}`, [key, window, group[2] + 1, group[3] + 1])
  }
  expect(collected('groups')).toEqual(sorted([...groups.values()]))
  const sums = Object.fromEntries(
    Array.from({ length: 11 }, (_, key) => [`key ${key}`, numbers.filter((i) => i % 11 === key).reduce((sum, i) => sum + i, 0)]),
  )
  const limits = results.flatMap((result) => result.collected.limits ?? []) as [string, Record<string, number>][]
  expect(limits.map(([key]) => key).sort()).toEqual(Object.keys(sums).sort())
  for (const [, limit] of limits) expect(limit).toEqual(sums)
}

for (const [parallelism, threads] of [
  [2, 2],
  [3, 2],
]) {
  test(`joins and broadcast state at parallelism ${parallelism} in ${threads} threads`, async () => {
    const handle = await start({ parallelism, threads, parameters: { count: '5000' } })
    expectResults([await handle.result()], 5000)
  })
}

test('a job goes through savepoints at parallelism 2, 3, 1, 2', async () => {
  const parameters = { count: '2000', rate: '4000' }
  expectResults(await throughSavepoints([2, 3, 1, 2], (options) => start({ ...options, threads: options.parallelism, parameters })), 2000)
})
