import { describe, expect, test } from 'vitest'
import type { BenchResult } from '../../bench/bench-result.js'
import { compareMedians, differingResults, isQuiet, meansByParallelism } from '../../bench/comparison.js'
import { comparisonTable, disturbances } from '../../bench/comparison-report.js'
import { runComparisons, type Side } from '../../bench/comparison-runs.js'
import type { EngineRun } from '../../bench/engine-process.js'
import { geometricMean, median } from '../../bench/statistics.js'

function result(changes: Partial<BenchResult>): BenchResult {
  return {
    engine: 'millrace-0.1.0',
    job: 'q0',
    events: 1000,
    parallelism: 1,
    state: 'heap',
    checkpointMs: 0,
    eps: 10_000,
    runSec: 1,
    submitToDoneSec: 1,
    eventsPerSec: 1000,
    cpuSec: 1,
    otherCpuSec: 0,
    eventsPerCpuSec: 1000,
    maxRssMb: 100,
    outputs: 920,
    hash: 42,
    load1: 0.1,
    ...changes,
  }
}

const flink: Side = { name: 'Flink', engine: 'flink', checkpoint: 0 }
const millrace: Side = { name: 'Millrace', engine: 'millrace', checkpoint: 0 }

test('the median of an even number of values is the mean of the middle two', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([4, 1, 2, 10])).toBe(3)
  expect(geometricMean([2, 8])).toBeCloseTo(4)
})

describe('medians and ratios', () => {
  const base = [900, 1000, 5000].map((eventsPerSec) => result({ engine: 'flink-2.3.0', eventsPerSec, cpuSec: 4 }))
  const candidate = [3000, 1, 3500].map((eventsPerSec) => result({ eventsPerSec, cpuSec: 1 }))

  test('one outlier in three does not count', () => {
    const row = compareMedians({ job: 'q0', parallelism: 1, base, candidate })
    expect(row.speedRatio).toBe(3)
    expect(row.cpuRatio).toBe(0.25)
  })

  test('the geometric mean is taken for each parallelism apart', () => {
    const row = compareMedians({ job: 'q0', parallelism: 1, base, candidate })
    const rows = [row, { ...row, job: 'q1', speedRatio: 12 }, { ...row, parallelism: 2, speedRatio: 1.5 }]
    expect(meansByParallelism(rows).map((mean) => [mean.parallelism, Number(mean.speedRatio.toFixed(6))])).toEqual([
      [1, 6],
      [2, 1.5],
    ])
    const table = comparisonTable(rows, { base: 'Flink', candidate: 'Millrace' }).split('\n')
    expect(table).toHaveLength(2 + 3 + 2)
    expect(new Set(table.map((line) => line.split('|').length)).size).toBe(1)
    expect(table[2]).toBe('| q0 | 1 | 1,000 | 1,000 | 1.0 | 4.0 | 100 | 3,000 | 1.0 | 1.0 | 100 | 3.00 | 0.25 |')
  })
})

describe('results that differ are found', () => {
  test('between engines and between parallelisms', () => {
    expect(differingResults([result({}), result({ engine: 'flink-2.3.0' }), result({ parallelism: 2 })])).toEqual([])
    expect(differingResults([result({}), result({ engine: 'flink-2.3.0', hash: 43 })])).toEqual([
      'q0, 1000 events, 10000 a second: millrace-0.1.0 at parallelism 1: 920 outputs, hash 42; flink-2.3.0 at parallelism 1: 920 outputs, hash 43',
    ])
    expect(differingResults([result({}), result({ outputs: 921, parallelism: 2 })])).toHaveLength(1)
  })

  test('only where the input is the same', () => {
    expect(differingResults([result({}), result({ events: 2000, hash: 7 }), result({ eps: 500, hash: 8 }), result({ job: 'q1', hash: 9 })])).toEqual(
      [],
    )
  })
})

test('runs beside busy processes are named', () => {
  const disturbed = result({ otherCpuSec: 0.6, submitToDoneSec: 2 })
  expect(isQuiet(disturbed)).toBe(false)
  expect(disturbances([result({ otherCpuSec: 0.05 }), disturbed])).toEqual([
    'other processes used 0.30 cores during millrace-0.1.0 q0 at parallelism 1 (1,000 events/s)',
  ])
})

describe('the runs of a comparison', () => {
  const options = { jobs: ['q0'] as const, parallelism: [1, 2], rounds: 2, scale: 0.001, eps: 10_000 }

  test('the sides alternate, with the same events', async () => {
    const started: EngineRun[] = []
    const outcome = await runComparisons(
      flink,
      millrace,
      options,
      () => {},
      async (run) => {
        started.push(run)
        return { kind: 'result', result: result({ engine: run.engine, parallelism: run.parallelism, events: run.events }) }
      },
    )
    expect(started.map((run) => `${run.engine} ${run.parallelism} ${run.events}`)).toEqual([
      'flink 1 16000',
      'millrace 1 16000',
      'millrace 1 16000',
      'flink 1 16000',
      'flink 2 40000',
      'millrace 2 40000',
      'millrace 2 40000',
      'flink 2 40000',
    ])
    expect(outcome.kind === 'compared' && outcome.comparisons.map((c) => [c.base.length, c.candidate.length])).toEqual([
      [2, 2],
      [2, 2],
    ])
  })

  test('the first failure ends it', async () => {
    let count = 0
    const outcome = await runComparisons(
      flink,
      millrace,
      options,
      () => {},
      async () => {
        count++
        return count < 3 ? { kind: 'result', result: result({}) } : { kind: 'failed', command: 'node main.js', why: 'it ended with exit code 1' }
      },
    )
    expect(outcome).toEqual({ kind: 'failed', command: 'node main.js', why: 'it ended with exit code 1' })
    expect(count).toBe(3)
  })
})
