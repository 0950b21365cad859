import { expect, it } from 'vitest'
import { OutputTag, type StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy } from '../../runtime/index.js'
import { crashEverywhere, jsonStream, Outside, Stages, StageWorld } from './stage-world.js'

interface Reading {
  readonly key: string
  readonly t: number
}

const LATE = new OutputTag<Reading>('late')
const SECONDS: readonly Reading[] = [1, 2, 20, 3, 4, 21, 30].map((t) => ({ key: 'k', t: t * 1_000 }))

function counts(outside: Outside, aside: boolean) {
  return (env: StreamExecutionEnvironment) => {
    const strategy = WatermarkStrategy.forGenerator<Reading>(() => ({
      onEvent: ({ t }, _timestamp, output) => output.emitWatermark(t - 1),
      onPeriodicEmit: () => {},
    })).withTimestampAssigner(({ t }) => t)
    const windows = jsonStream<Reading>(env, 'readings', strategy)
      .keyBy(({ key }) => key)
      .window(TumblingEventTimeWindows.of(10_000))
    const counted = (aside ? windows.sideOutputLateData(LATE) : windows)
      .process({ process: (_key, { window }, events, out: { collect(value: unknown): void }) => out.collect([window.start, [...events].length]) })
      .uid('count')
    counted.sinkTo(outside.sink()).uid('out')
    if (aside) counted.getSideOutput(LATE).sinkTo(outside.sink()).uid('late')
  }
}

it.each([
  [true, 0],
  [false, 2],
])('records that are too late are counted where nothing is done with them (side output: %s)', async (aside, dropped) => {
  const crashes = await crashEverywhere(
    async () => {
      const world = StageWorld.withStream('readings')
      return { world, stages: await Stages.activated(world, counts(new Outside(), aside)) }
    },
    async ({ stages }) => {
      stages.put('readings', 's0', ...SECONDS)
      await stages.comeToRest({ tries: 3 })
    },
    ({ world }, crash) => {
      const late = world.count('late-record-dropped')
      // Whoever dies between its commit and its metrics takes them along; what is done again is not counted again.
      if (crash === 'no crash') expect(late).toBe(dropped)
      else expect(late, crash).toBeLessThanOrEqual(dropped)
    },
  )
  expect(crashes).toBeGreaterThan(5)
})
