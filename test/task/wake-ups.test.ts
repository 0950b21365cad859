import { describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { type KeyedProcessFunction, TumblingEventTimeWindows, WatermarkStrategy } from '../../runtime/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { jsonStream, Outside, Stages, StageWorld, thrownBy } from './stage-world.js'

const SECOND = 1_000

interface Hit {
  readonly key: string
  readonly at: number
}

/** Says the time each second, once it has begun. */
const ticking: KeyedProcessFunction<string, string, number> = {
  processElement: (_, { timerService }) => {
    const now = timerService.currentProcessingTime()
    timerService.registerProcessingTimeTimer(now + SECOND)
  },
  onTimer: (time, { timerService }, out) => {
    out.collect(time)
    timerService.registerProcessingTimeTimer(time + SECOND)
  },
}

async function running(settings: Partial<StageSettings> = {}) {
  const world = StageWorld.withStream('keys')
  const outside = new Outside()
  const stages = await Stages.activated(
    world,
    (env) => {
      jsonStream<string>(env, 'keys')
        .keyBy((key) => key)
        .process(ticking)
        .uid('ticking')
        .sinkTo(outside.sink())
        .uid('out')
    },
    { settings },
  )
  const begin = (key: string) => stages.put('keys', 's0', key)
  const poke = (again: boolean) => stages.anotherInstance('ticking', '0').invoke({ kind: 'poke', again })
  return { world, stages, outside, begin, poke }
}

describe('wake-ups', () => {
  it('do not multiply where instances take turns', async () => {
    const { world, stages, outside, begin, poke } = await running()
    for (let second = 0; second < 20; second++) {
      begin('a')
      await stages.comeToRest()
      expect(world.pokes.size).toBe(1)
      world.now += SECOND
      // Messages come to other instances than batches do.
      for (const _ of world.pokes.take(world.now)) await poke(false)
      expect(outside.values).toHaveLength(second + 1)
    }
  })

  it('that come several times leave one', async () => {
    const { world, stages, outside, begin, poke } = await running()
    begin('a')
    await stages.comeToRest()
    for (let second = 0; second < 3; second++) {
      world.now += SECOND
      world.pokes.take(world.now)
      await Promise.all(Array.from({ length: 8 }, () => poke(false)))
      await poke(false)
      expect(outside.values).toHaveLength(second + 1)
      expect(world.pokes.size).toBe(1)
    }
  })

  it('are not asked for while timers that are due still fire', async () => {
    const { world, stages, outside, begin, poke } = await running({ sweepTimers: 1 })
    for (let key = 0; key < 20; key++) {
      begin(`k${key}`)
      await stages.comeToRest()
      world.now += 7
    }
    world.now += SECOND
    world.pokes.take()
    await poke(false)
    expect(outside.values).toHaveLength(20)
    expect(world.pokes.size).toBe(1)
  })

  it('that could not be asked for are asked for when the batch comes again', async () => {
    const { world, stages, outside, begin } = await running()
    begin('a')
    await stages.comeToRest({ without: ['ticking'] })
    world.fault = ({ port }) => (port === 'pokes' ? { kind: 'throw-before' } : undefined)
    await thrownBy(stages.takeBatch('ticking', '0'))
    world.fault = () => undefined
    stages.crash()
    expect(world.pokes.size).toBe(0)
    await stages.comeToRest()
    expect(world.pokes.size).toBe(1)
    world.now += SECOND
    await stages.comeToRest()
    expect(outside.values).toHaveLength(1)
  })

  it('that could not be asked for are asked for when the poke comes again', async () => {
    const { world, stages, begin, poke } = await running()
    begin('a')
    await stages.comeToRest()
    world.now += SECOND
    world.pokes.take()
    world.fault = ({ port }) => (port === 'pokes' ? { kind: 'throw-before' } : undefined)
    await thrownBy(poke(false))
    world.fault = () => undefined
    await poke(false)
    expect(world.pokes.size).toBe(0)
    await poke(true)
    expect(world.pokes.size).toBe(1)
  })
})

describe('pokes to compact', () => {
  it('are asked for once by a batch, however many bases it writes, and by nobody who was poked', async () => {
    const world = StageWorld.withStream('hits')
    const outside = new Outside()
    const define = (env: StreamExecutionEnvironment) => {
      jsonStream<Hit>(
        env,
        'hits',
        WatermarkStrategy.forMonotonousTimestamps<Hit>().withTimestampAssigner(({ at }) => at),
      )
        .keyBy(({ key }) => key)
        .window(TumblingEventTimeWindows.of(SECOND))
        .reduce((a) => a)
        .uid('window')
        .sinkTo(outside.sink())
        .uid('out')
    }
    // Each commit is a base with a segment more, and each fires one window.
    const settings = {
      longestTail: 1,
      mostSegments: 1,
      inlineBytes: 20,
      sweepTimers: 1,
      mergedAtCutBytes: 0,
      wholeStateBytes: 0,
      smallSegmentBytes: 0,
    }
    const stages = await Stages.activated(world, define, { settings })
    const take = async (...hits: readonly Hit[]) => {
      stages.put('hits', 's0', ...hits)
      for (const [stage, subtask] of [
        ['hits', 's0'],
        ['window', '0'],
      ] as const) {
        while (await stages.takeBatch(stage, subtask));
      }
      return world.pokes.take().length
    }
    const keys = Array.from({ length: 6 }, (_, i) => `k${i}`)
    await take(...keys.map((key) => ({ key, at: 1 })))
    expect(await take({ key: 'a', at: SECOND })).toBe(1)
    expect(outside.values).toHaveLength(6)
    await stages.comeToRest()
    await take(...keys.map((key) => ({ key, at: SECOND + 1 })), { key: 'a', at: 2 * SECOND - 1 })
    // The windows are left to who is poked.
    await take({ key: 'a', at: 3 * SECOND })
    const compactions = world.count('compaction')
    await stages.poke('window', '0')
    expect(world.count('compaction')).toBeGreaterThan(compactions)
    expect(world.pokes.size).toBe(0)
  })
})
