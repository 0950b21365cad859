import { defineJob, run } from 'millrace'
import { expect, it } from 'vitest'
import { countViews, type View } from '../job.js'

const MINUTE = 60_000

async function counts(views: readonly View[]) {
  const job = defineJob('test', (env) => void countViews(env.fromCollection(views)).collect('counts'))
  const handle = await run(job, { threads: 0 })
  return (await handle.result()).collected.counts
}

it('counts each page by the minute, whatever the order within five seconds', async () => {
  const view = (page: string, time: number): View => ({ page, time, visitor: 'v' })
  expect(await counts([view('/', 1_000), view('/about', 2_000), view('/', MINUTE + 1_000), view('/', MINUTE - 1)])).toEqual([
    { page: '/', start: 0, end: MINUTE, views: 2 },
    { page: '/about', start: 0, end: MINUTE, views: 1 },
    { page: '/', start: MINUTE, end: 2 * MINUTE, views: 1 },
  ])
})
