import { defineJob, HistogramAccumulator, type Sink, valueState, WatermarkStrategy } from 'millrace'
import { rnd } from '../generator/mix.js'
import { monotonicMs } from '../monotonic-ms.js'
import { pacedSource } from '../paced-source.js'

/** The accumulator with how many records were late by so many microseconds. */
export const LATENCIES = 'latencyUs'

export interface Sample {
  readonly key: number
  readonly seq: number
  /** When it was to be emitted, by {@link monotonicMs}: late emission counts, so there is no coordinated omission. */
  readonly dueMs: number
}

/** Keyed pass-through at a fixed rate. Parameters: events, rate (a second), start (when the first record is due, by {@link monotonicMs}). */
export default defineJob('latency', (env) => {
  const events = env.parameters.getNumber('events', 400_000)
  const rate = env.parameters.getNumber('rate', 20_000)
  const start = Number(env.parameters.getRequired('start'))
  const dueMs = (seq: number) => start + (seq * 1000) / rate
  env
    .fromSource(
      pacedSource<Sample>({ count: events, dueMs, generate: (seq) => ({ key: rnd(seq, 71, 1000), seq, dueMs: dueMs(seq) }) }),
      WatermarkStrategy.noWatermarks(),
      'samples',
    )
    .keyBy((sample) => sample.key)
    .process<Sample, { count: ReturnType<typeof valueState<number>> }>({
      state: { count: valueState<number>() },
      processElement(sample, ctx, out) {
        ctx.state.count.update((ctx.state.count.value() ?? 0) + 1)
        out.collect(sample)
      },
    })
    // The first fifth is warm-up.
    .sinkTo(latencySink(events / 5))
})

function latencySink(skip: number): Sink<Sample> {
  return {
    name: 'latency-sink',
    createWriter: ({ runtime }) => {
      const latencies = runtime.addAccumulator(LATENCIES, new HistogramAccumulator())
      return {
        write: ({ seq, dueMs }) => {
          if (seq >= skip) latencies.add(Math.max(0, Math.round((monotonicMs() - dueMs) * 1000)))
        },
        prepareCommit: () => [],
        close: () => {},
      }
    },
  }
}
