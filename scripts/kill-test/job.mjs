import { defineJob, fileSink, fileSource, lines, ndjsonFormat, TumblingEventTimeWindows, valueState, WatermarkStrategy } from 'millrace'

export const WINDOW_MS = 1_000

/** `ip epochMillis method path status bytes` */
function parse(line) {
  const [ip, time] = line.split(' ')
  return { ip, timeMs: Number(time) }
}

/** Numbers the accesses of each address: state that lives as long as the job, unlike that of windows. */
const numbered = () => ({
  state: { seen: valueState({ defaultValue: 0 }) },
  processElement(access, ctx, out) {
    const n = ctx.state.seen.value() + 1
    ctx.state.seen.update(n)
    out.collect({ ip: access.ip, n })
  },
})

const countAndLast = {
  createAccumulator: () => ({ count: 0, last: 0 }),
  add: ({ n }, { count, last }) => ({ count: count + 1, last: Math.max(last, n) }),
  getResult: (accumulator) => accumulator,
}

const withWindow = {
  process(ip, { window }, [{ count, last }], out) {
    out.collect({ ip, start: window.start, count, last })
  },
}

/** Follows a growing access log and writes, for each address and second: how many accesses, and the number of the last one. */
export default defineJob('kill-test', (env) => {
  const { parameters } = env
  env
    .fromSource(
      fileSource({ path: parameters.getRequired('input'), format: lines(), follow: { pollIntervalMs: 20 } }),
      WatermarkStrategy.noWatermarks(),
      'access log',
    )
    .uid('log')
    .setParallelism(1)
    .map(parse)
    .uid('parse')
    .setParallelism(1)
    .assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner((access) => access.timeMs))
    .uid('time')
    .setParallelism(1)
    .keyBy('ip')
    .process(numbered())
    .uid('numbered')
    // So that every window gets records over every channel, and barriers must be aligned.
    .rebalance()
    .map((access) => access)
    .uid('spread')
    .keyBy('ip')
    .window(TumblingEventTimeWindows.of(WINDOW_MS))
    .aggregate(countAndLast, withWindow)
    .uid('windows')
    .sinkTo(fileSink({ path: parameters.getRequired('output'), format: ndjsonFormat() }))
    .uid('out')
})
