import { describe, expect, it } from 'vitest'
import { type Collector, defineJob, MAX_WATERMARK, OutputTag, TumblingEventTimeWindows, valueState, WatermarkStrategy } from '../../runtime/index.js'
import { JobDriver, testSource } from '../../runtime/testing/index.js'

interface Click {
  readonly user: string
  readonly n: number
}

const big = new OutputTag<Click>('big')

const job = defineJob('clicks', (env) => {
  const clicks = env.fromSource(testSource<Click>(), WatermarkStrategy.noWatermarks<Click>(), 'clicks').uid('clicks')
  const split = clicks.process<Click>({ processElement: (click, ctx, out) => (click.n > 99 ? ctx.output(big, click) : out.collect(click)) })
  split.getSideOutput(big).collect('big').uid('big')
  split
    .keyBy((click) => click.user)
    .window(TumblingEventTimeWindows.of(100))
    .aggregate({ createAccumulator: () => 0, add: ({ n }, sum) => sum + n, getResult: (sum) => sum })
    .uid('sums')
    .collect('sums')
    .uid('out')
})

describe('JobDriver', () => {
  it.each([true, false])('takes what goes in through the whole job before the call returns (chaining: %s)', async (chaining) => {
    const driver = await JobDriver.start(job, { chaining })
    const clicks = driver.input<Click>('clicks')
    clicks.element({ user: 'ann', n: 1 }, 10)
    clicks.element({ user: 'ann', n: 100 }, 20)
    clicks.element({ user: 'ann', n: 2 }, 30)
    expect(driver.output('out')).toEqual([])
    expect(driver.output('big')).toEqual([{ kind: 'record', value: { user: 'ann', n: 100 }, timestamp: 20 }])
    clicks.watermark(99)
    expect(driver.output('out')).toEqual([
      { kind: 'record', value: 3, timestamp: 99 },
      { kind: 'watermark', watermark: 99 },
    ])
    clicks.idle(true)
    clicks.idle(false)
    await clicks.end()
    expect(driver.output('out').slice(2)).toEqual([
      { kind: 'status', idle: true },
      { kind: 'status', idle: false },
      { kind: 'watermark', watermark: MAX_WATERMARK },
    ])
    await driver.close()
  })

  it('goes on from a snapshot at another parallelism', async () => {
    const first = await JobDriver.start(job)
    for (const [i, user] of ['ann', 'bob', 'cy', 'dee', 'eve'].entries()) first.input<Click>('clicks').element({ user, n: i }, 10)
    await first.snapshot()
    first.input<Click>('clicks').element({ user: 'ann', n: 10 }, 20)
    const delta = await first.snapshot()
    expect(delta.manifest.operators.find(({ uid }) => uid === 'sums')?.subtasks[0].keyed).toHaveLength(2)
    await first.close()

    const second = await JobDriver.start(job, { restored: delta, parallelism: 3 })
    for (const subtask of [0, 1, 2]) second.input<Click>('clicks', subtask).watermark(99)
    expect(second.values<number>('out').sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 10])
    await second.close()
  })

  it('keeps records in batches when asked to', async () => {
    const driver = await JobDriver.start(job, { chaining: false, batching: true })
    driver.input<Click>('clicks').element({ user: 'ann', n: 100 }, 20)
    expect(driver.values('big')).toEqual([])
    driver.flush()
    expect(driver.values('big')).toHaveLength(1)
  })

  it('moves one clock for the whole job and fires what is due', async () => {
    const alarm = defineJob('alarm', (env) => {
      env
        .fromSource(testSource<number>(), WatermarkStrategy.noWatermarks<number>())
        .uid('in')
        .keyBy(() => 'k')
        .process({
          processElement: (at, ctx) => ctx.timerService.registerProcessingTimeTimer(at),
          onTimer: (at, ctx, out: Collector<[number, number]>) => out.collect([at, ctx.timerService.currentProcessingTime()]),
        })
        .collect('out')
        .uid('out')
    })
    const driver = await JobDriver.start(alarm, { processingTime: 1_000 })
    for (const at of [1_500, 1_200, 3_000]) driver.input<number>('in').element(at)
    driver.advanceProcessingTime(2_000)
    expect(driver.values('out')).toEqual([
      [1_200, 2_000],
      [1_500, 2_000],
    ])
    expect(driver.processingTime).toBe(2_000)
  })

  it('throws what a function throws, with the operator', async () => {
    const failing = defineJob('failing', (env) => {
      const numbers = env.fromSource(testSource<number>(), WatermarkStrategy.noWatermarks<number>()).uid('in')
      numbers
        .map((n) => {
          if (n === 0) throw new Error('no zero')
          return 1 / n
        })
        .uid('inverse')
        .collect('out')
        .uid('out')
    })
    const driver = await JobDriver.start(failing)
    driver.input<number>('in').element(2)
    expect(() => driver.input<number>('in').element(0)).toThrow(/USER_FUNCTION[\s\S]*no zero[\s\S]*inverse/)
    expect(driver.values('out')).toEqual([0.5])
  })

  it('names the sources and sinks there are when asked for another', async () => {
    const driver = await JobDriver.start(job)
    expect(() => driver.input('nothing')).toThrow(/OPTION_INVALID[\s\S]*"nothing"[\s\S]*clicks/)
    expect(() => driver.output('clicks')).toThrow(/OPTION_INVALID[\s\S]*big, out/)
  })

  it('gives each subtask function objects of its own', async () => {
    const counting = defineJob('counting', (env) => {
      let seen = 0
      const words = env.fromSource(testSource<string>(), WatermarkStrategy.noWatermarks<string>()).uid('in').setParallelism(1)
      words
        .rebalance()
        .map((word) => `${word} ${++seen}`)
        .collect('out')
        .uid('out')
        .setParallelism(1)
    })
    const driver = await JobDriver.start(counting, { parallelism: 2 })
    for (const word of ['a', 'b', 'c', 'd']) driver.input<string>('in').element(word)
    expect(driver.values<string>('out')).toEqual(['a 1', 'b 1', 'c 2', 'd 2'])
  })

  it('leaves keyed state where it is when a driver is dropped: a crash', async () => {
    const counts = defineJob('counts', (env) => {
      env
        .fromSource(testSource<string>(), WatermarkStrategy.noWatermarks<string>())
        .uid('in')
        .keyBy((word) => word)
        .process({
          state: { n: valueState<number>() },
          processElement: (_word, ctx, out: Collector<number>) => {
            ctx.state.n.update((ctx.state.n.value() ?? 0) + 1)
            out.collect(ctx.state.n.value() as number)
          },
        })
        .uid('counts')
        .collect('out')
        .uid('out')
    })
    const first = await JobDriver.start(counts)
    first.input<string>('in').element('to')
    const snapshot = await first.snapshot()
    first.input<string>('in').element('to')
    for (let run = 0; run < 2; run++) {
      const again = await JobDriver.start(counts, { restored: snapshot })
      again.input<string>('in').element('to')
      expect(again.values('out')).toEqual([2])
    }
  })
})
