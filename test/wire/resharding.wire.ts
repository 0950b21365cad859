import { defineJob, kinesisSource, type Sink, utf8Line, WatermarkStrategy } from 'millrace'
import { beforeEach, describe, expect, it } from 'vitest'
import { WiredJob } from './wired-job.js'

interface Tally {
  readonly key: string
  readonly n: number
}

let delivered: Tally[]
beforeEach(() => {
  delivered = []
})

const sink: Sink<Tally, never> = {
  name: 'delivered',
  createWriter: () => ({ write: (tally) => void delivered.push(tally), prepareCommit: () => [], close: () => {} }),
}

const counting = defineJob('count', (env) => {
  env
    .fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>())
    .uid('words')
    .map((key): Tally => ({ key, n: 1 }))
    .keyBy(({ key }) => key)
    .reduce((a, b) => ({ key: a.key, n: a.n + b.n }))
    .uid('sum')
    .sinkTo(sink)
    .uid('delivered')
})

const WORDS = Array.from({ length: 40 }, (_, i) => `w${i}`)

/** The last count of each word. One that was counted twice is too high. */
function counts(): Record<string, number> {
  const most: Record<string, number> = {}
  for (const { key, n } of delivered) most[key] = Math.max(most[key] ?? 0, n)
  return most
}

function each(n: number): Record<string, number> {
  return Object.fromEntries(WORDS.map((word) => [word, n]))
}

describe('a job whose stream is resharded, on real protocols', () => {
  it('counts each record once through a split and a merge, with a checkpoint between them that is restored', async () => {
    const job = await WiredJob.deploy(counting, [], 2)
    await job.activate()
    // Two shards to begin with.
    await job.produce([...WORDS, ...WORDS])
    await job.run()
    await job.reshard([0])
    await job.produce(WORDS)
    await job.run(() => Object.values(counts()).every((n) => n >= 3))
    const checkpointId = await job.checkpoint()
    expect(counts()).toEqual(each(3))

    // Shard 3 has the upper half of shard 0, next to shard 1.
    await job.reshard([3, 1])
    await job.produce([...WORDS, ...WORDS])
    await job.run(() => Object.values(counts()).every((n) => n >= 5))
    expect(counts()).toEqual(each(5))
    await job.checkpoint()

    delivered = []
    await job.restore(checkpointId)
    await job.run(() => Object.values(counts()).length === WORDS.length && Object.values(counts()).every((n) => n >= 5))
    expect(counts()).toEqual(each(5))
    // What the checkpoint holds is not counted again.
    expect(delivered.every(({ n }) => n > 3)).toBe(true)
    await job.produce(WORDS)
    await job.run(() => Object.values(counts()).every((n) => n >= 6))
    expect(counts()).toEqual(each(6))
  })
})
