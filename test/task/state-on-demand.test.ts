import { describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import {
  type BroadcastStream,
  MapStateDescriptor,
  TumblingEventTimeWindows,
  ValueStateDescriptor,
  valueState,
  WatermarkStrategy,
} from '../../runtime/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { jsonStream, Outside, Stages, StageWorld } from './stage-world.js'

interface Hit {
  readonly key: number
  readonly at: number
}

/** Nothing is read ahead, and blocks are small. */
const ON_DEMAND: Partial<StageSettings> = { wholeStateBytes: 0, smallSegmentBytes: 0, blockBytes: 1_000, blockCacheBytes: 0, inlineBytes: 100 }
const KEYS = 5_000
const hits = (from: number, to: number, at = 0): Hit[] => Array.from({ length: to - from }, (_, i) => ({ key: from + i, at }))

let world: StageWorld
let outside: Outside

async function stagesOf(define: (env: StreamExecutionEnvironment) => void, settings: Partial<StageSettings> = {}): Promise<Stages> {
  return Stages.activated(world, define, { settings: { ...ON_DEMAND, ...settings } })
}

async function put(stages: Stages, ...records: readonly unknown[]): Promise<void> {
  stages.put('hits', 's0', ...records)
  await stages.comeToRest()
}

function begin(...streams: readonly string[]): void {
  world = StageWorld.withStream('hits')
  for (const stream of streams) world.streams.create(stream, ['s0'])
  outside = new Outside()
}

function counting(env: StreamExecutionEnvironment): void {
  jsonStream<Hit>(env, 'hits')
    .keyBy(({ key }) => key)
    .process({
      state: { count: valueState<number>() },
      processElement({ key }: Hit, { state }, out: { collect(value: unknown): void }) {
        const n = (state.count.value() ?? 0) + 1
        state.count.update(n)
        out.collect(`${key} ${n}`)
      },
    })
    .uid('count')
    .sinkTo(outside.sink())
    .uid('out')
}

const byTime = WatermarkStrategy.forMonotonousTimestamps<Hit>().withTimestampAssigner(({ at }) => at)

function windows(env: StreamExecutionEnvironment): void {
  jsonStream<Hit>(env, 'hits', byTime)
    .keyBy(({ key }) => key)
    .window(TumblingEventTimeWindows.of(100))
    .aggregate({ createAccumulator: () => 0, add: (_hit: Hit, n: number) => n + 1, getResult: (n) => n })
    .uid('window')
    .sinkTo(outside.sink())
    .uid('out')
}

/** Rings `at` later by event time, or by the clock. */
function alarms(domain: 'event' | 'processing') {
  return (env: StreamExecutionEnvironment): void => {
    jsonStream<Hit>(env, 'hits', byTime)
      .keyBy(({ key }) => key)
      .process({
        processElement({ at }: Hit, { timerService }) {
          if (domain === 'event') timerService.registerEventTimeTimer(at + 50)
          else timerService.registerProcessingTimeTimer(timerService.currentProcessingTime() + at)
        },
        onTimer(_time, { currentKey }, out: { collect(value: unknown): void }) {
          out.collect(currentKey)
        },
      })
      .uid('alarm')
      .sinkTo(outside.sink())
      .uid('out')
  }
}

const ranges = () => world.calls.filter((call) => call.startsWith('checkpoints.getRange')).length

describe('a subtask whose keyed state is read on demand', () => {
  it('reads for a cold start what its batch needs, and goes on with it', async () => {
    begin()
    const stages = await stagesOf(counting)
    await put(stages, ...hits(0, KEYS))
    await stages.checkpoint()
    await put(stages, ...hits(0, 10))
    stages.crash()
    const before = ranges()
    await put(stages, ...hits(7, 9), ...hits(4_000, 4_001), ...hits(KEYS, KEYS + 1))
    expect(outside.values.slice(-4)).toEqual(['7 3', '8 3', '4000 2', `${KEYS} 1`])
    // The footer, and a block for each of the keys.
    expect(ranges() - before).toBeLessThanOrEqual(5)
    const warm = ranges()
    await put(stages, ...hits(7, 9), ...hits(4_000, 4_001))
    expect(outside.values.slice(-3)).toEqual(['7 4', '8 4', '4000 3'])
    expect(ranges()).toBe(warm)
    expect(world.count('keys-loaded')).toBeGreaterThan(0)
  })

  it('lets go of what it holds when that takes more memory than it may', async () => {
    begin()
    const stages = await stagesOf(counting, { stateMemoryBytes: 200 * 300, commitRecords: 100 })
    await put(stages, ...hits(0, 1_000))
    await stages.checkpoint()
    for (let round = 0; round < 2; round++) await put(stages, ...hits(0, 1_000))
    expect(world.count('state-over-budget')).toBeGreaterThan(5)
    expect(outside.values).toHaveLength(3_000)
    expect(new Set(outside.values.slice(-1_000))).toEqual(new Set(hits(0, 1_000).map(({ key }) => `${key} 3`)))
  })

  it('lets go also when it is few keys with much that take it, and not for what changes again and again', async () => {
    const define = (length: number) => (env: StreamExecutionEnvironment) => {
      jsonStream<Hit>(env, 'hits')
        .keyBy(({ key }) => key)
        .process({
          state: { about: valueState<string>(), count: valueState<number>() },
          processElement({ key }: Hit, { state }, out: { collect(value: unknown): void }) {
            const n = (state.count.value() ?? 0) + 1
            state.count.update(n)
            state.about.update(`${n} of ${key}`.padEnd(length, `${n}`))
            out.collect(`${key} ${n} ${state.about.value()?.length}`)
          },
        })
        .uid('about')
        .sinkTo(outside.sink())
        .uid('out')
    }
    for (const [length, stateMemoryBytes, lettingGo] of [
      [5_000, 100_000, true],
      // What is overwritten is merged away.
      [5_000, 1_000_000, false],
      [20, 100_000, false],
    ] as const) {
      begin()
      const stages = await stagesOf(define(length), { stateMemoryBytes, commitRecords: 20, mostSegments: 2 })
      await put(stages, ...hits(0, 100))
      await stages.checkpoint()
      for (let round = 0; round < 20; round++) {
        await put(stages, ...hits(0, 20))
        await stages.checkpoint()
      }
      expect(world.count('state-over-budget') > 0).toBe(lettingGo)
      expect(outside.values.at(-1)).toBe(`19 21 ${length}`)
    }
  })

  it('fires the windows of all keys, also those that are not in memory, in as many commits as it takes', async () => {
    begin()
    const stages = await stagesOf(windows, { sweepTimers: 300, stateMemoryBytes: 200 * 1_000 })
    await put(stages, ...hits(0, KEYS, 1))
    await stages.checkpoint()
    stages.crash()
    await put(stages, ...hits(0, 1, 50))
    expect(outside.values).toEqual([])
    await put(stages, { key: 0, at: 150 })
    expect(outside.values).toHaveLength(KEYS)
    expect(outside.values.filter((n) => n === 2)).toHaveLength(1)
    expect(world.count('sweep-interrupted') + world.count('sweep-resumed')).toBeGreaterThan(KEYS / 300 - 1)
    // Nothing of them is left.
    stages.crash()
    await stages.checkpoint()
    await put(stages, { key: 0, at: 250 })
    expect(outside.values).toHaveLength(KEYS + 1)
  })

  it('fires timers of keys that are not in memory, by event time', async () => {
    begin()
    const stages = await stagesOf(alarms('event'), { sweepTimers: 100 })
    await put(stages, ...hits(0, 1_000, 1))
    await stages.checkpoint()
    stages.crash()
    await put(stages, { key: 0, at: 40 })
    expect(outside.values).toEqual([])
    await put(stages, { key: 0, at: 60 })
    expect(new Set(outside.values)).toEqual(new Set(hits(0, 1_000).map(({ key }) => key)))
    expect(outside.values).toHaveLength(1_000)
  })

  it('is woken up for timers of the clock of keys that are not in memory', async () => {
    begin()
    const stages = await stagesOf(alarms('processing'))
    await put(stages, ...hits(0, 500, 60_000), ...hits(500, 1_000, 3_600_000))
    await stages.checkpoint()
    stages.crash()
    const wakeUps: number[] = []
    for (const minutes of [0.5, 1, 30, 40]) {
      world.now += minutes * 60_000
      await stages.comeToRest()
      stages.crash()
      wakeUps.push(outside.values.length)
    }
    expect(wakeUps).toEqual([0, 500, 500, 1_000])
  })

  it('reads all keys where a function goes round all of them', async () => {
    begin('rules')
    const rules = new MapStateDescriptor<string, number>('rules')
    const seen = new ValueStateDescriptor<number>('seen')
    const stages = await stagesOf((env) => {
      jsonStream<Hit>(env, 'hits')
        .keyBy(({ key }) => key)
        .connect(jsonStream<number>(env, 'rules').broadcast(rules) as BroadcastStream<number>)
        .process({
          state: { seen },
          processElement({ key }: Hit, { state }: { state: { seen: { update(n: number): void } } }) {
            state.seen.update(key)
          },
          processBroadcastElement(
            _rule: number,
            ctx: { applyToKeyedState(descriptor: typeof seen, fn: (key: number) => void): void },
            out: { collect(value: unknown): void },
          ) {
            let keys = 0
            ctx.applyToKeyedState(seen, () => keys++)
            out.collect(keys)
          },
        })
        .uid('rule')
        .sinkTo(outside.sink())
        .uid('out')
    })
    await put(stages, ...hits(0, 300))
    await stages.checkpoint()
    stages.crash()
    stages.put('rules', 's0', 1)
    await stages.comeToRest()
    expect(outside.values).toEqual([300])
  })
})
