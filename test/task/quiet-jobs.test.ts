import { describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { TumblingEventTimeWindows, TumblingProcessingTimeWindows, WatermarkStrategy } from '../../runtime/index.js'
import { jsonStream, Outside, Stages, StageWorld } from './stage-world.js'

const MINUTE = 60_000
const SETTLE_MS = 10 * MINUTE

interface Hit {
  readonly key: string
  readonly at: number
}

const BY_EVENT = WatermarkStrategy.forMonotonousTimestamps<Hit>().withTimestampAssigner(({ at }) => at)

interface Running {
  readonly world: StageWorld
  readonly stages: Stages
  readonly outside: Outside
  /** What a tick does, with all that follows from it. */
  tick(which?: 'sources' | 'all'): Promise<number>
  /** Ticks by the minute, each hour one for all; how often subtasks were poked, and how many commits came of it. */
  hours(count: number): Promise<{ readonly pokes: number; readonly commits: number; readonly lastPokeMinute: number }>
}

async function running(
  define: (env: StreamExecutionEnvironment, outside: Outside) => void,
  splits: readonly string[] = ['s0', 's1'],
): Promise<Running> {
  const world = StageWorld.withStream('hits', splits)
  const outside = new Outside()
  const stages = await Stages.activated(world, (env) => define(env, outside))
  const tick = async (which: 'sources' | 'all' = 'sources') => {
    const poked = await stages.control.tick(which)
    await stages.comeToRest()
    return poked
  }
  const hours = async (count: number) => {
    const before = world.count('commit')
    let pokes = 0
    let lastPokeMinute = 0
    for (let minute = 1; minute <= 60 * count; minute++) {
      world.now += MINUTE
      const poked = (await tick()) + (minute % 60 === 0 ? await tick('all') : 0)
      pokes += poked
      if (poked > 0) lastPokeMinute = minute
    }
    return { pokes, commits: world.count('commit') - before, lastPokeMinute }
  }
  return { world, stages, outside, tick, hours }
}

function counting(strategy: WatermarkStrategy<Hit>) {
  return (env: StreamExecutionEnvironment, outside: Outside) => {
    jsonStream<Hit>(env, 'hits', strategy)
      .keyBy(({ key }) => key)
      .window(TumblingEventTimeWindows.of(1_000))
      .reduce((a) => a)
      .uid('window')
      .sinkTo(outside.sink())
      .uid('out')
  }
}

function countingByClock(env: StreamExecutionEnvironment, outside: Outside): void {
  jsonStream<Hit>(env, 'hits')
    .keyBy(({ key }) => key)
    .window(TumblingProcessingTimeWindows.of(20 * MINUTE))
    .reduce((a) => a)
    .uid('window')
    .sinkTo(outside.sink())
    .uid('out')
}

describe('a job in which nothing happens', () => {
  it('settles in its log, and from then on nobody is poked', async () => {
    const { world, stages, hours } = await running(counting(BY_EVENT))
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.comeToRest()
    const settling = await hours(2)
    // One source says that its outbox has arrived, the other that nothing is left to be done; the window has said so with its last commit.
    expect(settling).toMatchObject({ commits: 2, lastPokeMinute: SETTLE_MS / MINUTE })
    expect(world.count('settled')).toBe(2)
    expect((await stages.head('hits', 's0')).outbox).toBeNull()
    expect(await hours(20)).toEqual({ pokes: 0, commits: 0, lastPokeMinute: 0 })
  })

  it('takes one checkpoint, and others only when it goes on', async () => {
    const { world, stages, tick } = await running(counting(BY_EVENT))
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.comeToRest()
    const { checkpointId } = await stages.checkpoint()
    const unchanged = { status: 'unchanged', checkpointId }
    for (let i = 0; i < 3; i++) expect(await stages.control.begin('checkpoint')).toEqual(unchanged)
    expect(world.pokes.size).toBe(0)
    // Ticks, and what subtasks say of themselves in the log, change nothing.
    world.now += SETTLE_MS
    expect(await tick('all')).toBe(3)
    expect(world.count('settled')).toBe(3)
    expect(await stages.control.begin('checkpoint')).toEqual(unchanged)
    stages.put('hits', 's1', { key: 'a', at: 2 })
    await stages.takeBatch('hits', 's1')
    expect((await stages.checkpoint()).checkpointId).toBe(checkpointId + 1)
    expect(await stages.control.begin('checkpoint')).toMatchObject({ status: 'unchanged' })
    // Whoever asks for a savepoint gets one.
    expect((await stages.checkpoint('savepoint')).checkpointId).toBe(checkpointId + 2)
  })

  it('takes a checkpoint when only a subtask behind the sources has changed', async () => {
    const { world, stages, outside } = await running(countingByClock)
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.comeToRest()
    await stages.checkpoint()
    const { version } = await stages.head('hits', 's0')
    expect(await stages.control.begin('checkpoint')).toMatchObject({ status: 'unchanged' })
    world.now += 20 * MINUTE
    await stages.comeToRest()
    expect(outside.values).toEqual([{ key: 'a', at: 1 }])
    expect((await stages.head('hits', 's0')).version).toBe(version)
    expect((await stages.checkpoint()).checkpointId).toBe(2)
    expect(await stages.control.begin('checkpoint')).toMatchObject({ status: 'unchanged' })
  })

  it('takes a checkpoint when only a source has, and no stage behind it has heard of that yet', async () => {
    const { stages } = await running(counting(BY_EVENT))
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.comeToRest()
    await stages.checkpoint()
    stages.put('hits', 's0', { key: 'b', at: 2 })
    await stages.takeBatch('hits', 's0')
    expect((await stages.checkpoint()).checkpointId).toBe(2)
    expect(await stages.control.begin('checkpoint')).toMatchObject({ status: 'unchanged' })
  })

  it('takes one after a restore, which may have gone back', async () => {
    const { stages } = await running(counting(BY_EVENT))
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.comeToRest()
    const first = await stages.checkpoint()
    expect(await stages.control.begin('checkpoint')).toMatchObject({ status: 'unchanged' })
    await stages.activate({ from: first, expected: 1 })
    expect(await stages.control.begin('checkpoint')).toMatchObject({ status: 'begun' })
  })
})

describe('ticks', () => {
  it('let a source say that it is idle, once', async () => {
    const { stages, outside, hours } = await running(counting(BY_EVENT.withIdleness(5 * MINUTE)))
    stages.put('hits', 's0', { key: 'a', at: 1 }, { key: 'b', at: 2_500 })
    await stages.comeToRest()
    // The other split holds event time back until it is idle.
    expect(outside.values).toEqual([])
    await hours(1)
    expect(outside.values).toEqual([{ key: 'a', at: 1 }])
    expect((await stages.head('hits', 's1')).origins.hits.idle).toBe(true)
    await hours(1)
    expect((await hours(5)).pokes).toBe(0)
    // And again, when it has not been idle meanwhile.
    stages.put('hits', 's1', { key: 'c', at: 2_600 })
    await stages.comeToRest()
    expect((await stages.head('hits', 's1')).origins.hits.idle).toBe(false)
    expect((await hours(1)).pokes).toBeGreaterThan(0)
    expect((await stages.head('hits', 's1')).origins.hits.idle).toBe(true)
    await hours(1)
    expect((await hours(5)).pokes).toBe(0)
  })

  it('go on poking a source whose generator may look at the clock', async () => {
    const own = WatermarkStrategy.forGenerator<Hit>(() => ({ onEvent: () => {}, onPeriodicEmit: () => {} }))
    const { hours } = await running(counting(own))
    await hours(2)
    expect((await hours(1)).pokes).toBe(2 * 61)
  })

  it('wake a subtask whose own wake-up was lost', async () => {
    const { world, stages, outside, tick } = await running(countingByClock)
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.comeToRest()
    expect(world.pokes.size).toBe(1)
    world.pokes.take(Number.POSITIVE_INFINITY)
    expect(await tick('all')).toBe(0)
    world.now += 20 * MINUTE
    await tick('all')
    expect(outside.values).toEqual([{ key: 'a', at: 1 }])
  })

  it('find out that a silent split has ended, and who goes on for it', async () => {
    const { world, stages, tick } = await running(counting(BY_EVENT), ['s0'])
    expect(await tick()).toBe(0)
    world.streams.stream('hits').reshard(['s0'], ['s1'])
    expect(await tick()).toBe(1)
    expect((await stages.head('hits', 's0')).life).toBe('ended')
    expect((await stages.head('hits', 's1')).life).toBe('running')
    expect(await tick()).toBe(0)
  })

  it('send again what may not have arrived, also when no batch ever comes again', async () => {
    const { world, stages, outside, tick } = await running(counting(BY_EVENT), ['s0'])
    outside.failNext = 'before'
    stages.put('hits', 's0', { key: 'a', at: 1 }, { key: 'b', at: 2_500 })
    await stages.comeToRest({ without: ['window'] })
    await stages.takeBatch('window', '0').catch(() => {})
    stages.crash()
    expect(outside.values).toEqual([])
    // Kinesis has forgotten the batch.
    stages.rewind('window', '0', world.streams.stream('job/1/window').records('0').length)
    world.now += SETTLE_MS
    expect(await tick('all')).toBe(2)
    expect(outside.values).toEqual([{ key: 'a', at: 1 }])
    expect(await tick('all')).toBe(0)
  })

  it('tell subtasks what they have not heard, and poke nobody whom it does not concern', async () => {
    const { world, stages, tick } = await running(counting(BY_EVENT), ['s0'])
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.comeToRest()
    await stages.control.begin('checkpoint')
    world.pokes.take()
    expect(await tick()).toBe(1)
    await stages.control.poll()
    expect(await tick('all')).toBe(0)
    expect((await stages.head('window', '0')).epoch).toBe(1)
  })

  it('look after a checkpoint that nobody polls', async () => {
    const { stages, tick } = await running(counting(BY_EVENT), ['s0'])
    stages.put('hits', 's0', { key: 'a', at: 1 })
    await stages.control.begin('checkpoint')
    await stages.comeToRest()
    await tick()
    expect(await stages.control.record()).toMatchObject({ completed: 1, pending: null })
  })

  it('keep logs fresh', async () => {
    const { world, stages, tick } = await running(counting(BY_EVENT), ['s0'])
    world.now += SETTLE_MS
    await tick('all')
    expect(await tick('all')).toBe(0)
    const { version } = await stages.head('window', '0')
    world.now += 37 * 60 * MINUTE
    expect(await tick('all')).toBe(2)
    expect((await stages.head('window', '0')).base.version).toBe(version + 1)
    expect(await tick('all')).toBe(0)
  })
})
