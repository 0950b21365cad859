import { appendFileSync, existsSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { defineJob, generatorSource, TumblingEventTimeWindows, valueState, WatermarkStrategy } from 'millrace'

/**
 * Counts 0, 1, 2 … by remainder of 7, and sums windows of 100. Parameters: count, rate; `die-once` names a file: when `die-at` is
 * reached and the file does not exist, it is made and the worker exits; `poison` sends a function through keyBy.
 */
export default defineJob('counting', (env) => {
  const { parameters } = env
  const marker = parameters.get('die-once')
  const dieAt = parameters.getNumber('die-at', -1)
  const poison = parameters.get('poison')
  const numbers = env
    .fromSource(
      generatorSource({
        count: parameters.getNumber('count', 1_000),
        generate: (i) => i,
        ...(parameters.has('rate') ? { ratePerSecond: parameters.getNumber('rate') } : {}),
      }),
      WatermarkStrategy.forBoundedOutOfOrderness(50).withTimestampAssigner((i) => i),
    )
    .uid('numbers')
    .map((i) => {
      if (i === dieAt && marker !== undefined && !existsSync(marker) && !isMainThread) {
        appendFileSync(marker, 'x')
        process.exit(7)
      }
      if (poison === 'function' && i === 500) return { i, f: () => i }
      if (poison === 'instance' && i === 500) return Object.assign(new Poison(), { i })
      return { i }
    })
    .uid('as-objects')
  numbers
    .keyBy(({ i }) => i % 7)
    .process({
      state: { n: valueState({ defaultValue: 0 }) },
      processElement({ i }, ctx, out) {
        const n = ctx.state.n.value() + 1
        ctx.state.n.update(n)
        out.collect({ key: i % 7, n })
      },
    })
    .uid('counts')
    .collect('counts')
    .uid('collect-counts')
  numbers
    .keyBy(({ i }) => i % 7)
    .window(TumblingEventTimeWindows.of(100))
    .aggregate(
      { createAccumulator: () => 0, add: ({ i }, sum) => sum + i, getResult: (sum) => sum },
      { process: (key, { window }, [sum], out) => out.collect({ key, start: window.start, sum }) },
    )
    .uid('sums')
    .collect('sums')
    .uid('collect-sums')
})

class Poison {
  secret() {
    return this.i
  }
}
