import { defineJob, kinesisSource, type Sink, TumblingEventTimeWindows, utf8Line, WatermarkStrategy } from 'millrace'

interface Sum {
  readonly key: string
  readonly n: number
}

/** Writes nothing; it only says what it would write to. */
const results: Sink<Sum> = {
  name: 'results',
  resources: [{ name: 'results', kind: 'table', access: 'write' }],
  createWriter: () => ({ write: () => {}, flush: () => {}, prepareCommit: () => [], close: () => {} }),
}

const add = (a: Sum, b: Sum): Sum => ({ key: b.key, n: a.n + b.n })

/** Words are counted by themselves, by their first letters, and by their lengths: a source, three keyed stages and one for the results. */
export default defineJob('five-stages', (env) => {
  env
    .fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.forMonotonousTimestamps())
    .uid('words')
    .map((word): Sum => ({ key: word, n: 1 }))
    .keyBy(({ key }) => key)
    .window(TumblingEventTimeWindows.of(60_000))
    .reduce(add)
    .uid('by-word')
    .keyBy(({ key }) => key.slice(0, 1))
    .reduce(add)
    .uid('by-letter')
    .keyBy(({ key }) => key.length)
    .reduce(add)
    .uid('by-length')
    .rebalance()
    .sinkTo(results)
    .uid('results')
})
