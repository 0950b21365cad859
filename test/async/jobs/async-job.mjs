import { existsSync, writeFileSync } from 'node:fs'
import { AsyncDataStream, AsyncRetryStrategies, defineJob, generatorSource, TumblingEventTimeWindows, WatermarkStrategy } from 'millrace'

/**
 * Squares 0, 1, 2 … by calls that take 0 to 3 ms and fail now and then, and sums windows of 100 behind them: a window's sum is wrong when a
 * watermark has overtaken a result. Parameters: count, rate, mode, capacity, group (slot-sharing group of the windows); `die-once` names a file: the first call for `die-at` makes it and fails.
 */
export default defineJob('async-squares', (env) => {
  const { parameters } = env
  const marker = parameters.get('die-once')
  const dieAt = parameters.getNumber('die-at', -1)
  const rate = parameters.getNumber('rate')
  const numbers = env
    .fromSource(
      generatorSource({ count: parameters.getNumber('count', 1_000), generate: (i) => i, ...(rate === undefined ? {} : { ratePerSecond: rate }) }),
      WatermarkStrategy.forBoundedOutOfOrderness(10).withTimestampAssigner((i) => i),
    )
    .uid('numbers')
  const failedOnce = new Set()
  const square = {
    async asyncInvoke(i) {
      await new Promise((resolve) => setTimeout(resolve, (i * 7) % 4))
      if (i === dieAt && marker !== undefined && !existsSync(marker)) {
        writeFileSync(marker, 'x')
        throw new Error('died once')
      }
      if (i % 50 === 3 && !failedOnce.has(i)) {
        failedOnce.add(i)
        throw new Error('busy')
      }
      return i % 10 === 9 ? [] : { i, square: i * i }
    },
  }
  const retry = AsyncRetryStrategies.fixedDelay({ maxAttempts: 3, delayMs: 2, ifException: (error) => error.message === 'busy' })
  const wait = parameters.get('mode') === 'ordered' ? AsyncDataStream.orderedWait : AsyncDataStream.unorderedWait
  const squares = wait(numbers, square, { timeoutMs: 10_000, capacity: parameters.getNumber('capacity', 20), retry }).uid('squares')
  squares.map(counting('squares')).uid('count-squares').collect('squares').uid('collect-squares')
  const sums = squares
    .keyBy(({ i }) => i % 3)
    .window(TumblingEventTimeWindows.of(100))
    .aggregate(
      { createAccumulator: () => 0, add: ({ square }, sum) => sum + square, getResult: (sum) => sum },
      { process: (key, { window }, [sum], out) => out.collect({ key, start: window.start, sum }) },
    )
    .uid('sums')
  if (parameters.has('group')) sums.slotSharingGroup(parameters.get('group'))
  sums.collect('sums').uid('collect-sums')
})

function counting(name) {
  let counter
  return {
    open(context) {
      counter = context.getCounter(name)
    },
    map(value) {
      counter.add(1)
      return value
    },
  }
}
