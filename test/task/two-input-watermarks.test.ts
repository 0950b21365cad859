import { describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { type DataStream, TumblingEventTimeWindows, valueState, WatermarkStrategy } from '../../runtime/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { crashEverywhere, jsonStream, Outside, Stages, StageWorld, sortedJson } from './stage-world.js'

interface Event {
  readonly key: string
  /** Event time, ms. */
  readonly t: number
}

type Streams = readonly [a: DataStream<Event>, b: DataStream<Event>]
type Out = { collect(value: unknown): void }

const IDLENESS_MS = 1_000

function scene(define: (streams: Streams) => DataStream<unknown>, settings: Partial<StageSettings> = {}) {
  const world = new StageWorld()
  const outside = new Outside()
  for (const name of ['a', 'b']) world.streams.create(name, ['s0'])
  const strategy = () =>
    WatermarkStrategy.forMonotonousTimestamps<Event>()
      .withTimestampAssigner(({ t }) => t)
      .withIdleness(IDLENESS_MS)
  const job = (env: StreamExecutionEnvironment) => {
    define([jsonStream(env, 'a', strategy()), jsonStream(env, 'b', strategy())])
      .sinkTo(outside.sink())
      .uid('out')
  }
  const stages = new Stages(world, job, { settings })
  const put = async (stream: 'a' | 'b', ...times: readonly number[]) => {
    stages.put(stream, 's0', ...times.map((t) => ({ key: 'k', t })))
    await stages.comeToRest({ tries: 5 })
  }
  const fallIdle = async (stream: 'a' | 'b') => {
    for (let turn = 0; turn < 3; turn++) {
      world.now += IDLENESS_MS
      await world.pokes.poke({ stage: stream, subtask: 's0' }, world.now)
      await stages.comeToRest({ tries: 5 })
    }
  }
  return { world, outside, stages, put, fallIdle }
}

type TwoInputs = ReturnType<typeof scene>

/** Input a is idle at 49 while b goes on to 99, and comes back at 59. */
async function comeBackBehind({ stages, put, fallIdle }: TwoInputs): Promise<void> {
  await stages.activate()
  await put('a', 50)
  await fallIdle('a')
  await put('b', 60, 100)
  await put('a', 60)
}

/** What each element finds as the watermark. */
function watermarks([a, b]: Streams): DataStream<unknown> {
  return a
    .keyBy(({ key }) => key)
    .connect(b.keyBy(({ key }) => key))
    .process({
      processElement1: ({ t }: Event, { timerService }: { timerService: { currentWatermark(): number } }, out: Out) =>
        out.collect(['a', t, timerService.currentWatermark()]),
      processElement2: ({ t }: Event, { timerService }: { timerService: { currentWatermark(): number } }, out: Out) =>
        out.collect(['b', t, timerService.currentWatermark()]),
    })
    .uid('co')
}

describe('the watermark of an operator with two inputs, of which one was idle and came back behind', () => {
  it.each(['warm', 'cold'])('stays where it was: %s', async (memory) => {
    const played = scene(watermarks)
    await comeBackBehind(played)
    expect(await played.stages.head('co', '0')).toMatchObject({
      inputs: [
        { watermark: 59, idle: false },
        { watermark: 99, idle: false },
      ],
      head: { watermark: 99, idle: false },
    })
    if (memory === 'cold') played.stages.crash()
    await played.put('a', 61)
    expect(played.outside.values.at(-1)).toEqual(['a', 61, 99])
    // Once both are beyond it, it goes on.
    await played.put('b', 201)
    if (memory === 'cold') played.stages.crash()
    await played.put('a', 151, 152)
    await played.put('b', 202)
    expect(played.outside.values.at(-1)).toEqual(['b', 202, 151])
  })

  it('stays where it was in memory that takes over what another instance has committed', async () => {
    const played = scene(watermarks)
    const { stages, world } = played
    await stages.activate()
    await played.put('a', 50)
    const warm = stages.instance('co', '0')
    stages.crash()
    await played.fallIdle('a')
    await played.put('b', 60, 100)
    await played.put('a', 60)
    stages.put('a', 's0', { key: 'k', t: 61 })
    await stages.comeToRest({ without: ['co'] })
    await world.wait(warm.invoke({ kind: 'batch', records: world.streams.stream('job/1/co').records('0') }))
    expect(played.outside.values.at(-1)).toEqual(['a', 61, 99])
    expect(world.count('warm-catch-up')).toBeGreaterThan(0)
  })

  it('is not that of the input that is furthest when both have fallen idle', async () => {
    const played = scene(watermarks)
    await played.stages.activate()
    await played.put('b', 21)
    await played.put('a', 11)
    await played.fallIdle('b')
    await played.fallIdle('a')
    const { inputs, head } = await played.stages.head('co', '0')
    expect(inputs.map(({ idle }) => idle)).toEqual([true, true])
    expect(head).toEqual({ watermark: 10, idle: true })
    played.stages.crash()
    await played.put('a', 12)
    expect(played.outside.values.at(-1)).toEqual(['a', 12, 10])
  })

  it.each(['warm', 'cold'])('opens no window again that has fired: %s', async (memory) => {
    const windows = ([a, b]: Streams) =>
      a
        .coGroup(b)
        .where(({ key }) => key)
        .equalTo(({ key }) => key)
        .window(TumblingEventTimeWindows.of(50))
        .apply((as, bs, out: Out) => out.collect({ a: as.map(({ t }) => t), b: bs.map(({ t }) => t) }))
        .uid('co')
    const FIRED = { a: [50], b: [60] }
    const played = scene(windows)
    await comeBackBehind(played)
    expect(played.outside.values).toEqual([FIRED])
    expect(await played.stages.head('co', '0')).toMatchObject({ head: { watermark: 99, idle: false } })
    if (memory === 'cold') played.stages.crash()
    await played.put('a', 61)
    await played.put('b', 200)
    await played.put('a', 200)
    // Those at 60 and 61 were late.
    expect(played.outside.values).toEqual([FIRED, { a: [], b: [100] }])
  })
})

describe('a sweep of timers that is cut off', () => {
  const timers = ([a, b]: Streams) =>
    a
      .keyBy(({ key }) => key)
      .connect(b.keyBy(({ key }) => key))
      .process({
        state: { last: valueState<number>() },
        processElement1({ t }: Event, { timerService, state }, out: Out) {
          out.collect(['a', t, timerService.currentWatermark(), state.last.value() ?? null])
        },
        processElement2({ t }: Event, { timerService }) {
          for (let at = t; at < t + 4; at++) timerService.registerEventTimeTimer(at)
        },
        onTimer(time, { state, timerService }, out: Out) {
          state.last.update(time)
          out.collect(['timer', time, timerService.currentWatermark()])
        },
      })
      .uid('co')

  it('goes on from what the operator had let through before, wherever an instance dies', async () => {
    let whole: string[] | undefined
    const crashes = await crashEverywhere(
      async () => {
        const played = scene(timers, { sweepTimers: 1 })
        await played.stages.activate()
        await played.put('a', 50)
        await played.fallIdle('a')
        return played
      },
      async ({ put, fallIdle }) => {
        await put('b', 60, 70, 100)
        await put('a', 60)
        await put('a', 61)
        await fallIdle('a')
        await put('b', 200)
        await put('a', 62)
      },
      ({ outside }, crash) => {
        whole ??= sortedJson(outside.values)
        expect(sortedJson(outside.values), crash).toEqual(whole)
      },
    )
    expect(crashes).toBeGreaterThan(50)
    expect(whole).toContain(JSON.stringify(['a', 61, 99, 73]))
  })
})
