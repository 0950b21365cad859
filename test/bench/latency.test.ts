import { describe, expect, test } from 'vitest'
import { quantileMs, runLatency } from '../../bench/run-latency.js'

describe('the latency benchmark', () => {
  test('takes quantiles of all samples', () => {
    const latencies = new Map([
      [100, 50],
      [2_000, 49],
      [9_000, 1],
    ])
    expect([0.5, 0.51, 0.99, 0.991, 1].map((q) => quantileMs(latencies, q))).toEqual([0.1, 2, 2, 9, 9])
    expect(quantileMs(new Map(), 0.5)).toBeNaN()
  })

  test('leaves out the first fifth and keeps to the rate', async () => {
    const startedAt = performance.now()
    const result = await runLatency({ events: 2_000, rate: 5_000, parallelism: 2, bufferTimeout: 0, threads: 0 })
    expect(performance.now() - startedAt).toBeGreaterThan(400)
    expect(result).toMatchObject({ job: 'latency', events: 2_000, rate: 5_000, parallelism: 2, bufferTimeoutMs: 0, samples: 1_600 })
    expect(result.p50Ms).toBeGreaterThan(0)
    expect(result.p50Ms).toBeLessThanOrEqual(result.p99Ms)
  })
})
