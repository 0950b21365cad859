import { beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { valueState, WatermarkStrategy } from '../../runtime/index.js'
import type { EntryFault } from '../../runtime/testing/faulty-ports.js'
import { jsonStream, Outside, Stages, StageWorld, thrownBy } from './stage-world.js'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

interface Click {
  readonly user: string
  readonly n: number
}

/** Numbers the clicks of each user. */
function counts(outside: Outside) {
  return (env: StreamExecutionEnvironment) => {
    jsonStream<Click>(env, 'clicks')
      .keyBy(({ user }) => user)
      .process({
        state: { count: valueState<number>() },
        processElement({ user, n }, { state }, out: { collect(value: { user: string; n: number; count: number }): void }) {
          const count = (state.count.value() ?? 0) + 1
          state.count.update(count)
          out.collect({ user, n, count })
        },
      })
      .uid('count')
      .sinkTo(outside.sink())
      .uid('out')
  }
}

function clicks(from: number, to: number): Click[] {
  return Array.from({ length: to - from }, (_, i) => ({ user: 'ab'[(from + i) % 2], n: from + i }))
}

/** Numbered in order, each once. */
function counted(total: number) {
  return clicks(0, total).map((click) => ({ ...click, count: Math.floor(click.n / 2) + 1 }))
}

let world: StageWorld
let outside: Outside

beforeEach(() => {
  world = StageWorld.withStream('clicks', ['s0', 's1'])
  outside = new Outside()
})

describe('a stage that stands still', () => {
  it.each([
    ['31 minutes', 31 * MINUTE_MS],
    ['26 hours', 26 * HOUR_MS],
  ])('for %s goes on where it was: memory is too old, frames have piled up', async (_, stallMs) => {
    const stages = await Stages.activated(world, counts(outside), { settings: { longestTail: 5 } })
    stages.put('clicks', 's0', ...clicks(0, 10))
    await stages.comeToRest()
    for (let n = 10; n < 40; n += 2) {
      world.now += stallMs / 15
      stages.put('clicks', 's0', ...clicks(n, n + 2))
      await stages.comeToRest({ without: ['count'] })
    }
    world.now += 1
    expect(outside.values).toHaveLength(10)
    const before = world.count('cache-too-old')
    await stages.takeBatch('count', '0')
    expect(world.count('cache-too-old') - before).toBe(1)
    await stages.comeToRest()
    expect(outside.values).toEqual(counted(40))
  })

  it('while a barrier waits for one of its splits: what is behind it is stashed, cut once, and nothing is lost', async () => {
    const stages = await Stages.activated(world, counts(outside))
    stages.put('clicks', 's0', ...clicks(0, 2))
    await stages.comeToRest()
    await stages.control.begin('checkpoint')
    await stages.poke('clicks', 's0')
    for (let n = 2; n < 20; n += 2) {
      stages.put('clicks', 's0', ...clicks(n, n + 2))
      await stages.takeBatch('clicks', 's0')
      await stages.takeBatch('count', '0')
      stages.crash()
      world.now += 3 * HOUR_MS
    }
    expect(outside.values).toEqual(counted(2))
    // The function of the other split is invoked at last.
    await stages.poke('clicks', 's1')
    await stages.comeToRest()
    expect(outside.values).toEqual(counted(20))
    expect(world.count('frame-stashed')).toBeGreaterThan(0)
    expect(world.count('cut-aligned')).toBe(1)
    expect(await stages.control.poll()).toMatchObject({ status: 'completed', checkpointId: 1 })
    // What was behind the barrier is in no snapshot of it.
    await stages.activate({ from: { checkpointId: 1, savepoint: false } })
    expect(outside.values.slice(20)).toEqual(counted(20).slice(2))
  })

  it('that gives up a checkpoint meanwhile consumes what waited', async () => {
    const stages = await Stages.activated(world, counts(outside))
    await stages.control.begin('checkpoint')
    await stages.poke('clicks', 's0')
    stages.put('clicks', 's0', ...clicks(0, 6))
    await stages.takeBatch('clicks', 's0')
    await stages.takeBatch('count', '0')
    expect(outside.values).toEqual([])
    world.now += HOUR_MS
    expect(await stages.control.poll()).toMatchObject({ status: 'aborted', checkpointId: 1 })
    await stages.comeToRest()
    expect(outside.values).toEqual(counted(6))
    await stages.checkpoint()
    expect(world.count('checkpoint-completed')).toBe(1)
  })

  it('for five days with only its upkeep keeps its log alive', async () => {
    const stages = await Stages.activated(world, counts(outside))
    stages.put('clicks', 's0', ...clicks(0, 10))
    await stages.comeToRest()
    for (let day = 0; day < 5; day++) {
      world.now += DAY_MS
      for (const [stage, subtask] of [
        ['clicks', 's0'],
        ['clicks', 's1'],
        ['count', '0'],
      ]) {
        await stages.poke(stage, subtask)
      }
    }
    expect(world.count('tail-rebased')).toBeGreaterThan(0)
    stages.crash()
    stages.put('clicks', 's1', ...clicks(10, 12))
    await stages.comeToRest()
    expect(outside.values).toEqual(counted(12))
  })

  it('longer than logs are kept, without upkeep, says so and is restored from its checkpoint', async () => {
    const stages = await Stages.activated(world, counts(outside))
    stages.put('clicks', 's0', ...clicks(0, 10))
    await stages.comeToRest()
    const ref = await stages.checkpoint()
    world.now += 4 * DAY_MS
    stages.crash()
    stages.put('clicks', 's0', ...clicks(10, 12))
    const { code, message } = await thrownBy(stages.takeBatch('clicks', 's0'))
    expect(code).toBe('LOG_CORRUPT')
    expect(message).toContain('log job/1/clicks/s0')
    expect(message).toContain('Restore the job from its last checkpoint')
    expect(stages.acknowledged('clicks', 's0')).toBe(10)
    expect(outside.values).toEqual(counted(10))
    await stages.activate({ from: ref })
    expect(outside.values).toEqual(counted(12))
  })
})

// --- clocks ----------------------------------------------------------------------------------------------------------------

interface Alarm {
  readonly name: string
  readonly inMs: number
}

/** Rings once for each alarm, `inMs` of processing time behind its record. */
function alarms(outside: Outside) {
  return (env: StreamExecutionEnvironment) => {
    jsonStream<Alarm>(env, 'alarms')
      .keyBy(({ name }) => name)
      .process({
        state: { set: valueState<number>() },
        processElement({ inMs }, { state, timerService }) {
          const at = timerService.currentProcessingTime() + inMs
          state.set.update(at)
          timerService.registerProcessingTimeTimer(at)
        },
        onTimer(time, { currentKey, state, timerService }, out: { collect(value: unknown): void }) {
          out.collect({ name: currentKey, early: timerService.currentProcessingTime() < time, due: time === state.set.value() })
        },
      })
      .uid('ring')
      .sinkTo(outside.sink())
      .uid('out')
  }
}

function rung(...names: readonly string[]) {
  return names.map((name) => ({ name, early: false, due: true }))
}

describe('a clock that jumps', () => {
  let stages: Stages

  beforeEach(async () => {
    world.streams.create('alarms', ['s0'])
    stages = await Stages.activated(world, alarms(outside))
  })

  async function timesOfCommits(): Promise<number[]> {
    return (await stages.commits('ring', '0')).map(({ lastNow }) => lastNow).filter((now) => now > Number.NEGATIVE_INFINITY)
  }

  it('forwards by hours: what became due rings once, in the order of the alarms', async () => {
    stages.put('alarms', 's0', { name: 'late', inMs: 2 * HOUR_MS }, { name: 'soon', inMs: 1_000 }, { name: 'never', inMs: 30 * HOUR_MS })
    await stages.comeToRest()
    expect(outside.values).toEqual([])
    world.now += 7 * HOUR_MS
    await stages.comeToRest()
    await stages.poke('ring', '0')
    stages.crash()
    await stages.poke('ring', '0')
    expect(outside.values).toEqual(rung('soon', 'late'))
  })

  it('backwards by hours: nothing rings again, nor before its time; time stands still until the clock is there again', async () => {
    stages.put('alarms', 's0', { name: 'a', inMs: 1_000 }, { name: 'b', inMs: HOUR_MS })
    await stages.comeToRest()
    world.now += 2_000
    await stages.comeToRest()
    expect(outside.values).toEqual(rung('a'))
    world.now -= 5 * HOUR_MS
    stages.crash()
    await stages.poke('ring', '0')
    stages.put('alarms', 's0', { name: 'c', inMs: 10 * MINUTE_MS })
    await stages.comeToRest()
    world.now += 4 * HOUR_MS
    await stages.comeToRest()
    expect(outside.values).toEqual(rung('a'))
    world.now += 3 * HOUR_MS
    await stages.comeToRest()
    expect(outside.values).toEqual(rung('a', 'c', 'b'))
    const times = await timesOfCommits()
    expect(times).toEqual(times.toSorted((x, y) => x - y))
  })

  it('back and forth at each step, warm and cold: every alarm rings once, and time never goes back', async () => {
    const names = Array.from({ length: 24 }, (_, i) => `alarm-${i}`)
    for (const [i, name] of names.entries()) {
      stages.put('alarms', 's0', { name, inMs: (i % 5) * 20 * MINUTE_MS })
      await stages.comeToRest()
      world.now += [3 * HOUR_MS, -2 * HOUR_MS, 10, -10 * MINUTE_MS][i % 4]
      if (i % 3 === 0) stages.crash()
      await stages.poke('ring', '0')
    }
    world.now += DAY_MS
    await stages.comeToRest()
    expect(outside.values.map((value) => (value as { name: string }).name).toSorted()).toEqual(names.toSorted())
    expect(outside.values).toEqual(rung(...outside.values.map((value) => (value as { name: string }).name)))
    const times = await timesOfCommits()
    expect(times).toEqual(times.toSorted((x, y) => x - y))
  })

  it('wakes up by what the clock says, however far off that is', async () => {
    stages.put('alarms', 's0', { name: 'a', inMs: 20 * HOUR_MS })
    await stages.comeToRest()
    const [poke] = world.pokes.take()
    expect(poke).toEqual({ target: { stage: 'ring', subtask: '0' }, atMs: world.now + 20 * HOUR_MS })
    // A hint: it may be early.
    await stages.poke('ring', '0')
    expect(outside.values).toEqual([])
    world.now += 20 * HOUR_MS
    await stages.poke('ring', '0')
    expect(outside.values).toEqual(rung('a'))
  })
})

describe('idle splits', () => {
  it('and clocks that jump never make output watermarks go back', async () => {
    const strategy = WatermarkStrategy.forMonotonousTimestamps<{ t: number }>()
      .withTimestampAssigner(({ t }) => t)
      .withIdleness(10_000)
    const stages = new Stages(world, (env) => {
      jsonStream<{ t: number }>(env, 'clicks', strategy)
        .keyBy(() => 'all')
        .process({
          processElement({ t }, { timerService }, out: { collect(value: unknown): void }) {
            out.collect({ t, watermark: timerService.currentWatermark() })
          },
        })
        .uid('see')
        .sinkTo(outside.sink())
        .uid('out')
    })
    await stages.activate()
    for (let i = 0; i < 12; i++) {
      stages.put('clicks', i % 3 === 0 ? 's1' : 's0', { t: i * 1_000 })
      await stages.comeToRest()
      world.now += [HOUR_MS, -HOUR_MS / 2, 20_000][i % 3]
      if (i % 2 === 0) stages.crash()
      for (const split of ['s0', 's1']) await stages.poke('clicks', split)
      await stages.comeToRest()
    }
    const watermarks = outside.values.map((value) => (value as { watermark: number }).watermark)
    expect(watermarks).toHaveLength(12)
    expect(watermarks).toEqual(watermarks.toSorted((x, y) => x - y))
    const said = (await stages.commits('clicks', 's0')).flatMap(({ outputs }) => Object.values(outputs).map(({ watermark }) => watermark))
    expect(said).toEqual(said.toSorted((x, y) => x - y))
  })
})

describe('a stream between stages that takes frames only now and then', () => {
  /** What becomes of the frames at each try. */
  const WAYS: readonly (readonly [string, readonly EntryFault[][]])[] = [
    ['none, at first', [['refuse', 'refuse', 'refuse'], ['refuse']]],
    [
      'the first of them only',
      [
        ['put', 'refuse', 'refuse'],
        ['put', 'refuse'],
      ],
    ],
    ['those behind a gap', [['refuse', 'put', 'put'], ['refuse'], ['refuse']]],
    ['some, without saying so', [['refuse-and-put', 'put', 'refuse-and-put']]],
    ['some twice', [['double', 'put', 'double']]],
    ['some much later once more', [[{ lateMs: 40 }, 'put', { lateMs: 5_000 }]]],
  ]

  it.each(WAYS)('%s: nothing is lost, doubled or out of order', async (_, tries) => {
    world.streams.create('numbers', ['s0'])
    const define = (env: StreamExecutionEnvironment) => {
      jsonStream<Click>(env, 'numbers')
        .keyBy(({ user }) => user)
        .map(({ n }) => n)
        .uid('number')
        .setParallelism(3)
        .sinkTo(outside.sink())
        .uid('out')
    }
    const stages = await Stages.activated(world, define)
    for (let round = 0; round < 3; round++) {
      let send = 0
      world.fault = ({ port }) => {
        const faults = port === 'channel' ? tries[send++] : undefined
        return faults === undefined ? undefined : { kind: 'entries', faults }
      }
      stages.put('numbers', 's0', ...Array.from({ length: 30 }, (_, i) => ({ user: `user ${i % 10}`, n: round * 30 + i })))
      await stages.comeToRest()
    }
    // What is late comes now.
    await world.wait(world.sleep(10_000))
    await stages.comeToRest()
    const values = outside.values as readonly number[]
    expect(values.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 90 }, (_, n) => n))
    for (let user = 0; user < 10; user++) {
      const own = values.filter((n) => n % 10 === user)
      expect(own).toEqual(own.toSorted((a, b) => a - b))
    }
  })

  it('not at all: the batch fails after eight tries, and the next time sends the same', async () => {
    const stages = await Stages.activated(world, counts(outside))
    stages.put('clicks', 's0', ...clicks(0, 4))
    world.fault = ({ port, size }) =>
      port === 'channel' ? { kind: 'entries', faults: Array.from({ length: size }, () => 'refuse' as const) } : undefined
    for (let attempt = 0; attempt < 2; attempt++) {
      const before = world.calls.filter((call) => call.startsWith('channel.send')).length
      const error = await thrownBy(stages.takeBatch('clicks', 's0'))
      expect(error.code).toBe('AWS_CALL')
      expect(error.message).toContain('1 of 1 frames could not be sent, none of them in the last 8 tries')
      expect(world.calls.filter((call) => call.startsWith('channel.send')).length - before).toBe(8)
      stages.crash()
    }
    world.fault = () => undefined
    await stages.comeToRest()
    expect(outside.values).toEqual(counted(4))
  })
})
