import { beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { TumblingEventTimeWindows, TumblingProcessingTimeWindows, valueState, WatermarkStrategy } from '../../runtime/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { crashEverywhere, jsonStream, Outside, Stages, StageWorld, sortedJson } from './stage-world.js'

interface Reading {
  readonly key: string
  readonly n: number
  readonly text?: string
}

function readings(count: number, bytes = 0): Reading[] {
  return Array.from({ length: count }, (_, n) => ({ key: `k${n % 3}`, n, text: 'x'.repeat(bytes) }))
}

let world: StageWorld
let outside: Outside

beforeEach(() => {
  world = StageWorld.withStream('readings')
  outside = new Outside()
})

/** `msPerRecord`: how long user code takes over a record, in either stage. */
function sums(msPerRecord = 0, to = outside, clock = world) {
  return (env: StreamExecutionEnvironment) => {
    jsonStream<Reading>(env, 'readings')
      .map((reading) => {
        clock.now += msPerRecord
        return reading
      })
      .uid('work')
      .setParallelism(1)
      .keyBy(({ key }) => key)
      .process({
        state: { sum: valueState<number>() },
        processElement({ key, n }, { state }, out: { collect(value: unknown): void }) {
          clock.now += msPerRecord
          const sum = (state.sum.value() ?? 0) + n
          state.sum.update(sum)
          out.collect({ key, n, sum })
        },
      })
      .uid('sum')
      .sinkTo(to.sink())
      .uid('out')
  }
}

function summed(count: number) {
  const sums = new Map<string, number>()
  return readings(count).map(({ key, n }) => {
    const sum = (sums.get(key) ?? 0) + n
    sums.set(key, sum)
    return { key, n, sum }
  })
}

describe('one batch in several commits', () => {
  /** What the source had taken at each commit of a batch. */
  async function recordsByCommit(stages: Stages): Promise<number[]> {
    const positions = world.streams
      .stream('readings')
      .records('s0')
      .map(({ position }) => String(position))
    const batches = (await stages.commits('readings', 's0')).filter(({ kind }) => kind === 'BATCH')
    return batches.map(({ position }) => positions.indexOf(position as string) + 1)
  }

  it.each([
    ['records', { commitRecords: 3 }, 0, 0, [3, 6, 9, 10]],
    ['bytes', { commitBytes: 500 }, 120, 0, [4, 8, 10]],
    ['time', { commitMs: 2_000 }, 0, 500, [4, 8, 10]],
  ] as const)('by %s', async (_, settings: Partial<StageSettings>, bytes, msPerRecord, taken) => {
    const stages = await Stages.activated(world, sums(msPerRecord), { settings })
    stages.put('readings', 's0', ...readings(10, bytes))
    await stages.comeToRest()
    expect(await recordsByCommit(stages)).toEqual(taken)
    expect(world.count('commit-by-budget')).toBeGreaterThanOrEqual(taken.length - 1)
    expect(outside.values).toEqual(summed(10))
  })

  it('by what it has for other stages: a record may become many', async () => {
    const words = (env: StreamExecutionEnvironment) => {
      jsonStream<Reading>(env, 'readings')
        .flatMap(({ n }) => Array.from({ length: 5 }, (_, i) => ({ n, i })))
        .uid('work')
        .setParallelism(1)
        .rebalance()
        .map((word: unknown) => word)
        .uid('again')
        .sinkTo(outside.sink())
        .uid('out')
    }
    const stages = await Stages.activated(world, words, { settings: { commitRecords: 10 } })
    stages.put('readings', 's0', ...readings(5))
    await stages.comeToRest()
    expect(await recordsByCommit(stages)).toEqual([2, 4, 5])
    expect(outside.values).toHaveLength(25)
  })

  it('takes at least one record in each, however small the budget', async () => {
    const stages = await Stages.activated(world, sums(10_000), { settings: { commitRecords: 1, commitBytes: 1, commitMs: 1 } })
    stages.put('readings', 's0', ...readings(5))
    await stages.comeToRest()
    expect(await recordsByCommit(stages)).toEqual([1, 2, 3, 4, 5])
    expect(outside.values).toEqual(summed(5))
  })

  it('a stage that reads frames stops between them; what it has not consumed is in its log', async () => {
    const stages = await Stages.activated(world, sums(), { settings: { commitRecords: 2 } })
    for (const reading of readings(9)) {
      stages.put('readings', 's0', reading)
      await stages.takeBatch('readings', 's0')
    }
    const before = world.count('commit-by-budget')
    await stages.takeBatch('sum', '0')
    expect(world.count('commit-by-budget') - before).toBeGreaterThanOrEqual(3)
    expect(outside.values).toEqual(summed(9))
    expect(outside.applied.every(({ values }) => values.length <= 2)).toBe(true)
  })

  it('is cut off between them anywhere, and the rest comes again', async () => {
    const crashes = await crashEverywhere(
      async () => {
        const own = StageWorld.withStream('readings')
        const to = new Outside()
        const settings = { commitRecords: 3, longestTail: 4, inlineBytes: 64 }
        const stages = await Stages.activated(own, sums(0, to, own), { settings })
        stages.put('readings', 's0', ...readings(10))
        return { world: own, stages, to }
      },
      ({ stages }) => stages.comeToRest({ tries: 3 }),
      ({ to }, crash) => expect(to.values, crash).toEqual(summed(10)),
    )
    expect(crashes).toBeGreaterThan(40)
  })

  it.each([
    ['between two of them by another instance that is poked', true, 3],
    ['behind them, as the instance that takes the batch hears of it only then', false, 10],
  ])('a checkpoint that begins meanwhile is cut %s', async (_, poked, cutBehind) => {
    const stages = await Stages.activated(world, sums(), { settings: { commitRecords: 3 } })
    stages.put('readings', 's0', ...readings(10))
    let begun = false
    const append = world.log.append.bind(world.log)
    world.log.append = async (log, item) => {
      const outcome = await append(log, item)
      if (begun || !log.endsWith('readings/s0')) return outcome
      // Behind the first commit of the batch.
      begun = true
      await stages.control.begin('checkpoint')
      if (poked) await stages.anotherInstance('readings', 's0').invoke({ kind: 'poke' })
      return outcome
    }
    await stages.comeToRest()
    expect(await stages.control.poll()).toMatchObject({ status: 'completed', checkpointId: 1 })
    expect(world.count('commit-lost')).toBe(poked ? 1 : 0)
    const manifest = await world.checkpoints.load(1)
    const [source] = manifest.operators.filter(({ uid }) => uid === 'readings')
    const records = world.streams.stream('readings').records('s0')
    const { position } = source.subtasks[0].operatorState[0] as { position: string }
    expect(records.findIndex((record) => String(record.position) === position) + 1).toBe(cutBehind)
    expect(outside.values).toEqual(summed(10))
    await stages.activate({ from: { checkpointId: 1, savepoint: false } })
    expect(outside.values.slice(10)).toEqual(summed(10).slice(cutBehind))
  })
})

// --- sweeps ----------------------------------------------------------------------------------------------------------------

interface Event {
  readonly key: string
  readonly t: number
}

const EVENTS: readonly Event[] = Array.from({ length: 23 }, (_, i) => ({ key: `k${i % 4}`, t: (i % 6) * 100 }))
const END: Event = { key: 'end', t: 10_000 }

function windows(to: Outside) {
  return (env: StreamExecutionEnvironment) => {
    const untilTheEnd = WatermarkStrategy.forGenerator<Event>(() => ({
      onEvent: ({ t }, _timestamp, output) => {
        if (t >= END.t) output.emitWatermark(t)
      },
      onPeriodicEmit: () => {},
    })).withTimestampAssigner(({ t }) => t)
    jsonStream<Event>(env, 'events', untilTheEnd)
      .keyBy(({ key }) => key)
      .window(TumblingEventTimeWindows.of(100))
      .process({
        process: (key, { window }, events, out: { collect(value: unknown): void }) =>
          out.collect({ key, start: window.start, count: [...events].length }),
      })
      .uid('count')
      .keyBy(() => 'all')
      .process({
        state: { seen: valueState<number>() },
        processElement(value, { state }, out: { collect(value: unknown): void }) {
          const seen = (state.seen.value() ?? 0) + 1
          state.seen.update(seen)
          out.collect({ ...(value as object), seen })
        },
      })
      .uid('number')
      .sinkTo(to.sink())
      .uid('out')
  }
}

function windowCounts() {
  const counts = new Map<string, number>()
  for (const { key, t } of EVENTS) counts.set(`${key} ${t}`, (counts.get(`${key} ${t}`) ?? 0) + 1)
  return [...counts].map(([name, count]) => ({ key: name.split(' ')[0], start: Number(name.split(' ')[1]), count }))
}

async function beforeTheSweep(sweepTimers: number, settings: Partial<StageSettings> = {}) {
  const own = StageWorld.withStream('events')
  const to = new Outside()
  const stages = await Stages.activated(own, windows(to), { settings: { sweepTimers, ...settings } })
  stages.put('events', 's0', ...EVENTS)
  await stages.comeToRest()
  expect(to.values).toEqual([])
  stages.put('events', 's0', END)
  return { world: own, stages, to }
}

function expectEachWindowOnce(to: Outside, why?: string) {
  const results = to.values as readonly { key: string; start: number; count: number; seen: number }[]
  expect(sortedJson(results.map(({ key, start, count }) => ({ key, start, count }))), why).toEqual(sortedJson(windowCounts()))
  expect(results.map(({ seen }) => seen).toSorted((a, b) => a - b)).toEqual(results.map((_, i) => i + 1))
}

describe('timers that fire in several commits', () => {
  it('all fire, each once, in the order of their times', async () => {
    const { world: own, stages, to } = await beforeTheSweep(5)
    await stages.comeToRest()
    expectEachWindowOnce(to)
    const starts = to.values.map((value) => (value as { start: number }).start)
    expect(starts).toEqual(starts.toSorted((a, b) => a - b))
    expect(own.count('sweep-interrupted')).toBe(1)
    expect(own.count('sweep-resumed')).toBeGreaterThanOrEqual(Math.floor(windowCounts().length / 5) - 1)
  })

  it('the watermark goes on only when all have fired', async () => {
    const { stages } = await beforeTheSweep(5)
    await stages.comeToRest()
    const commits = await stages.commits('count', '0')
    const said = commits.map(({ outputs }) => Object.values(outputs)[0]?.watermark ?? Number.NEGATIVE_INFINITY)
    const done = commits.findLastIndex(({ sweep }) => sweep !== null)
    expect(done).toBeGreaterThan(0)
    expect(said.slice(0, done + 1).every((watermark) => watermark < END.t)).toBe(true)
    expect(said.at(-1)).toBe(END.t)
  })

  it('are cut off anywhere and go on', async () => {
    const crashes = await crashEverywhere(
      () => beforeTheSweep(5, { longestTail: 3 }),
      ({ stages }) => stages.comeToRest({ tries: 3 }),
      ({ to }, crash) => expectEachWindowOnce(to, crash),
    )
    expect(crashes).toBeGreaterThan(25)
  })

  it('a second instance that takes the sweep over halfway does not fire what has fired', async () => {
    const { world: own, stages, to } = await beforeTheSweep(3)
    await stages.takeBatch('events', 's0')
    // Warm, and behind by as many commits as the first makes.
    const other = stages.anotherInstance('count', '0')
    await other.invoke({ kind: 'poke' })
    let appends = 0
    own.fault = ({ port, operation, key }) => {
      if (port !== 'log' || operation !== 'append' || !key.endsWith('count/0')) return undefined
      return ++appends === 3 ? { kind: 'throw-before' } : undefined
    }
    await expect(stages.takeBatch('count', '0')).rejects.toMatchObject({ code: 'AWS_CALL' })
    expect((await stages.head('count', '0')).sweep).not.toBeNull()
    await other.invoke({ kind: 'poke' })
    expect((await stages.head('count', '0')).sweep).toBeNull()
    await stages.comeToRest()
    expectEachWindowOnce(to)
  })

  it('a checkpoint waits for the end of the sweep', async () => {
    const { stages, to } = await beforeTheSweep(5)
    await stages.takeBatch('events', 's0')
    const ref = await stages.checkpoint()
    expectEachWindowOnce(to)
    await stages.activate({ from: ref })
    stages.put('events', 's0', { key: 'end', t: 20_000 })
    await stages.comeToRest()
    expect(sortedJson(to.values.slice(windowCounts().length).map((value) => (value as { key: string }).key))).toEqual(['"end"'])
  })

  it('those of processing time, too', async () => {
    const define = (env: StreamExecutionEnvironment) => {
      jsonStream<Reading>(env, 'readings')
        .keyBy(({ n }) => n)
        .window(TumblingProcessingTimeWindows.of(1_000))
        .process({ process: (key, _context, all, out: { collect(value: unknown): void }) => out.collect({ key, count: [...all].length }) })
        .uid('count')
        .sinkTo(outside.sink())
        .uid('out')
    }
    const stages = await Stages.activated(world, define, { settings: { sweepTimers: 4 } })
    stages.put('readings', 's0', ...readings(15))
    await stages.comeToRest()
    expect(outside.values).toEqual([])
    world.now += 1_000
    await stages.comeToRest()
    stages.crash()
    world.now += 1_000
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(sortedJson(readings(15).map(({ n }) => ({ key: n, count: 1 }))))
    expect(outside.applied.length).toBeGreaterThanOrEqual(4)
  })
})
