import {
  type Collector,
  defineJob,
  type TimeWindow,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
  textFormat,
  WatermarkStrategy,
  type WindowContext,
} from 'millrace'
import { isLive, linesIn } from '../lines-in.js'
import { resultsOut } from '../results-out.js'

interface Entry {
  readonly key: string
  readonly number: number
  /** Epoch milliseconds. */
  readonly timeMs: number
}

/**
 * The numbers of each key in ascending order, window by window of 10 s: `a: 1 3`. Lines are `key,number,epochMillis` from a
 * file; a line without a time, as one types it, has the clock's.
 */
export default defineJob('sort-in-window', (env) => {
  const sorted = linesIn(env, import.meta.url, 'input.txt')
    .map(parse)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forBoundedOutOfOrderness(1_000).withTimestampAssigner((e) => e.timeMs))
    .keyBy((e) => e.key)
    .window(isLive(env) ? TumblingProcessingTimeWindows.of(10_000) : TumblingEventTimeWindows.of(10_000))
    .process({
      process(key: string, _ctx: WindowContext<TimeWindow>, elements: Iterable<Entry>, out: Collector<string>) {
        const numbers = Array.from(elements, (e) => e.number).sort((a, b) => a - b)
        out.collect(`${key}: ${numbers.join(' ')}`)
      },
    })
  resultsOut(sorted, env, textFormat())
})

function parse(line: string): Entry {
  const [key, number, time, ...rest] = line.split(',').map((field) => field.trim())
  const entry = { key, number: Number(number || Number.NaN), timeMs: time === undefined ? Date.now() : Number(time || Number.NaN) }
  if (key === '' || Number.isNaN(entry.number) || Number.isNaN(entry.timeMs) || rest.length > 0) {
    throw new Error(`expected "key,number" or "key,number,epochMillis", got ${JSON.stringify(line)}`)
  }
  return entry
}
