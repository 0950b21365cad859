import { defineJob, kinesisSource, type Sink, TumblingEventTimeWindows, utf8Line, WatermarkStrategy } from 'millrace'

export interface Word {
  readonly key: string
  readonly at: number
}

/** Nothing looks at what it writes. */
const sink: Sink<unknown, never> = { name: 'out', createWriter: () => ({ write: () => {}, prepareCommit: () => [], close: () => {} }) }

/** Lines `key seconds`: words counted by key in windows of ten seconds. */
export const tally = defineJob('tally', (env) => {
  env
    .fromSource(
      kinesisSource({ stream: 'words', deserialize: utf8Line }),
      WatermarkStrategy.forBoundedOutOfOrderness<string>(0).withTimestampAssigner((line) => wordOf(line).at),
    )
    .uid('words')
    .map(wordOf)
    .uid('parse')
    .keyBy(({ key }) => key)
    .window(TumblingEventTimeWindows.of(10_000))
    .aggregate({ createAccumulator: () => 0, add: (_word: Word, n: number) => n + 1, getResult: (n) => n, merge: (a, b) => a + b })
    .uid('count')
    .sinkTo(sink)
    .uid('out')
})

function wordOf(line: string): Word {
  const [key, seconds] = line.split(' ')
  return { key, at: Number(seconds) * 1_000 }
}
