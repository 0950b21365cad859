import { defineJob, TumblingEventTimeWindows, textFormat, WatermarkStrategy } from 'millrace'
import { linesIn } from '../lines-in.js'
import { resultsOut } from '../results-out.js'

interface Entry {
  readonly word: string
  /** Epoch milliseconds. */
  readonly timeMs: number
  readonly n: number
}

/**
 * Sums of n for each word in event-time windows of 3 s, for lines `word,epochMillis,n` that are at most 1 s out of order.
 * `--offset 2000` moves the windows' starts by 2 s.
 */
export default defineJob('watermark', (env) => {
  const sums = linesIn(env, import.meta.url, 'input.txt')
    .map(parse)
    .setParallelism(1)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forBoundedOutOfOrderness(1_000).withTimestampAssigner((e) => e.timeMs))
    .setParallelism(1)
    .keyBy((e) => e.word)
    .window(TumblingEventTimeWindows.of(3_000, env.parameters.getNumber('offset', 0)))
    .reduce((a, b) => ({ word: a.word, timeMs: a.timeMs, n: a.n + b.n }))
    .map((e) => `${e.word},${e.timeMs},${e.n}`)
  resultsOut(sums, env, textFormat())
})

function parse(line: string): Entry {
  const [word, time, n, ...rest] = line.split(',').map((field) => field.trim())
  const entry = { word, timeMs: Number(time || Number.NaN), n: Number(n || Number.NaN) }
  if (word === '' || Number.isNaN(entry.timeMs) || Number.isNaN(entry.n) || rest.length > 0) {
    throw new Error(`expected "word,epochMillis,n", got ${JSON.stringify(line)}`)
  }
  return entry
}
