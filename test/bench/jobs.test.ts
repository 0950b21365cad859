import { describe, expect, test } from 'vitest'
import type { JobName } from '../../bench/jobs/index.js'
import { runBench } from '../../bench/run-bench.js'

const EVENTS = 60_000

/** `node bench/flink/ref.mjs JOB 60000 EPS`: computed without any engine; Flink gives the same. */
const REFERENCE: [JobName, number, number, number][] = [
  ['ipcount', 10_000, 11_125, 23_913_880_209_975],
  ['ipcount', 500, 27_982, 59_738_173_617_535],
  ['wordcount', 10_000, 600_000, 1_293_325_515_591_466],
  ['q0', 10_000, 55_200, 118_378_658_315_216],
  ['q1', 10_000, 55_200, 118_591_327_505_475],
  ['q2', 10_000, 211, 447_268_826_858],
  ['q3', 10_000, 348, 712_241_202_330],
  ['q4', 10_000, 3360, 8_452_838_272],
  ['q4', 500, 3334, 12_471_869_205],
  ['q5', 10_000, 7, 9_981_334_113],
  ['q5', 500, 64, 139_358_485_563],
  ['q7', 10_000, 1, 1_398_479_157],
  ['q7', 500, 12, 19_141_022_517],
  ['q8', 10_000, 552, 1_205_681_340_105],
  ['q8', 500, 159, 353_838_081_777],
  ['q11', 10_000, 1121, 2_405_438_116_224],
  ['q11', 500, 2679, 5_672_770_808_888],
]

describe.each([1, 2])('at parallelism %i the jobs give the reference results', (parallelism) => {
  test.each(REFERENCE)('%s at %i events a second', async (job, eps, outputs, hash) => {
    const result = await runBench(job, { events: EVENTS, parallelism, checkpoint: 0, eps, threads: 0 })
    expect({ outputs: result.outputs, hash: result.hash }).toEqual({ outputs, hash })
  })
})

test('checkpoints do not change the results', async () => {
  const result = await runBench('ipcount', { events: EVENTS, parallelism: 2, checkpoint: 10, eps: 500, threads: 0 })
  expect({ outputs: result.outputs, hash: result.hash }).toEqual({ outputs: 27_982, hash: 59_738_173_617_535 })
  expect(result.checkpointMs).toBe(10)
  expect(result.ckptFailed).toBe(0)
})

test('the result line has the agreed fields', async () => {
  const result = await runBench('q2', { events: 1000, parallelism: 1, checkpoint: 0, eps: 10_000, threads: 0 })
  expect(result).toMatchObject({ job: 'q2', events: 1000, parallelism: 1, checkpointMs: 0, state: 'heap' })
  expect(result.runSec).toBeGreaterThan(0)
  expect(result.runSec).toBeLessThanOrEqual(result.submitToDoneSec)
  expect(result.eventsPerSec).toBeGreaterThan(0)
  expect(result.cpuSec).toBeGreaterThan(0)
  expect(result.maxRssMb).toBeGreaterThan(10)
})
