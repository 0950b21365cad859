import { describe, expect, it } from 'vitest'
import { defineJob } from '../../runtime/api/index.js'
import { generatorSource } from '../../runtime/connectors/index.js'
import { WatermarkStrategy } from '../../runtime/core/index.js'
import { run } from '../../runtime/local/index.js'
import { WatermarkAlignments } from '../../runtime/local/watermark-alignment.js'
import { expectFailure } from '../local/run-job.js'

describe('alignment', () => {
  it('holds a source back that is ahead of its group', async () => {
    const timeline: { source: string; ts: number }[] = []
    const job = defineJob('aligned', (env) => {
      const stream = (name: string, ratePerSecond?: number) => {
        const strategy = WatermarkStrategy.forMonotonousTimestamps<number>()
          .withTimestampAssigner((ts) => ts)
          .withWatermarkAlignment('group', 100, 5)
        return env
          .fromSource(generatorSource({ count: 20_000, generate: (i) => i, ...(ratePerSecond && { ratePerSecond }) }), strategy, name)
          .uid(name)
          .map((ts) => timeline.push({ source: name, ts }))
      }
      stream('slow', 20_000).collect('slow')
      stream('fast').collect('fast')
    })
    await (await run(job, { threads: 0, autoWatermarkIntervalMs: 5 })).result()
    const lastOf = { slow: 0, fast: 0 } as Record<string, number>
    let widest = 0
    for (const { source, ts } of timeline) {
      lastOf[source] = ts
      widest = Math.max(widest, lastOf.fast - lastOf.slow)
    }
    // The drift, what one poll reads (512), and what the slow one had done when it last said so. Free, the fast one would be some 20,000 ahead.
    expect(widest).toBeLessThan(5_000)
    expect(timeline).toHaveLength(40_000)
  })

  it('follows the least watermark of those that count', () => {
    const said: unknown[] = []
    const alignments = new WatermarkAlignments((group, limit) => said.push([group, limit]))
    const group = { group: 'g', maxDriftMs: 10, updateIntervalMs: 1 }
    alignments.report(group, 'a/0', 5)
    alignments.report(group, 'b/0', 3)
    alignments.report(group, 'a/0', 13)
    alignments.report({ ...group, group: 'h' }, 'c/0', 1)
    alignments.report(group, 'b/0', Number.POSITIVE_INFINITY)
    alignments.report(group, 'a/0', Number.POSITIVE_INFINITY)
    expect(said).toEqual([
      ['g', 15],
      ['g', 13],
      ['h', 11],
      ['g', 23],
      ['g', Number.POSITIVE_INFINITY],
    ])
  })

  it('refuses a drift below 0', async () => {
    await expectFailure((async () => WatermarkStrategy.noWatermarks().withWatermarkAlignment('g', -1))(), 'OPTION_INVALID', 'withWatermarkAlignment')
  })
})
