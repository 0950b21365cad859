import {
  type Collector,
  defineJob,
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  type StreamExecutionEnvironment,
  type TimeWindow,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
  textFormat,
  WatermarkStrategy,
  type WindowContext,
} from 'millrace'
import { isLive, linesIn } from '../lines-in.js'
import { oneOf } from '../one-of.js'
import { resultsOut } from '../results-out.js'
import { addCounts, type TimedWord, timedWordsOf, wordsOf, wordsOfNow } from './words.js'

/**
 * Counts words: running (the default), or with `--window tumbling` (5 s), `sliding` (10 s every 5 s) or `count` (4 of a word).
 * For the windows of time, lines of a file begin with their time in epoch milliseconds; typed lines have the clock's.
 */
export default defineJob('word-count', (env) => {
  const kind = oneOf(env, 'window', ['none', 'tumbling', 'sliding', 'count'])
  if (kind === 'tumbling' || kind === 'sliding') return countInTime(env, kind)
  const keyed = linesIn(env, import.meta.url, 'input.txt')
    .flatMap(wordsOf)
    .keyBy((w) => w.word)
  const counts = kind === 'count' ? keyed.countWindow(4).reduce(addCounts) : keyed.sum('n')
  resultsOut(
    counts.map((w) => `${w.word} ${w.n}`),
    env,
    textFormat(),
  )
})

function countInTime(env: StreamExecutionEnvironment, kind: 'tumbling' | 'sliding'): void {
  const live = isLive(env)
  const lines = linesIn(env, import.meta.url, 'timed-input.txt')
  const words = lines.flatMap(live ? wordsOfNow : timedWordsOf)
  const tumbling = live ? TumblingProcessingTimeWindows.of(5_000) : TumblingEventTimeWindows.of(5_000)
  const sliding = live ? SlidingProcessingTimeWindows.of(10_000, 5_000) : SlidingEventTimeWindows.of(10_000, 5_000)
  const sums = words
    .assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner((w) => w.timeMs))
    .keyBy((w) => w.word)
    .window(kind === 'tumbling' ? tumbling : sliding)
    .reduce(addCounts, {
      process(word: string, ctx: WindowContext<TimeWindow>, elements: Iterable<TimedWord>, out: Collector<string>) {
        for (const sum of elements) out.collect(`${ctx.window.start} ${ctx.window.end} ${word} ${sum.n}`)
      },
    })
  resultsOut(sums, env, textFormat())
}
