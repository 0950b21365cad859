import { beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { kinesisSource, valueState, WatermarkStrategy } from '../../runtime/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { crashEverywhere, Outside, Stages, StageWorld, sortedJson, thrownBy } from './stage-world.js'

/** Which function a record is poison for. */
type Poison = 'deserialize' | 'map' | 'process' | 'far' | 'key'

interface Order {
  readonly user: string
  readonly n: number
  readonly poison?: Poison
}

const throwFor = (poison: Poison, order: Order) => {
  if (order.poison === poison) throw new TypeError(`${poison} does not like ${order.n}`)
}

/** Three stages; each order is numbered among those of its user that came so far. `fixed`: this function likes everything. */
function orders(outside: Outside, fixed?: Poison) {
  const check = (poison: Poison, order: Order) => {
    if (poison !== fixed) throwFor(poison, order)
  }
  return (env: StreamExecutionEnvironment) => {
    const deserialize = (data: Uint8Array) => {
      const order = JSON.parse(new TextDecoder().decode(data)) as Order
      check('deserialize', order)
      return order
    }
    env
      .fromSource(kinesisSource({ stream: 'orders', deserialize }), WatermarkStrategy.noWatermarks<Order>())
      .uid('orders')
      .setParallelism(1)
      .map((order) => {
        check('map', order)
        return order
      })
      .uid('check')
      .setParallelism(1)
      .keyBy((order) => {
        check('key', order)
        return order.user
      })
      .process({
        state: { count: valueState<number>() },
        processElement(order, { state }, out: { collect(value: Order & { count: number }): void }) {
          const count = (state.count.value() ?? 0) + 1
          state.count.update(count)
          out.collect({ ...order, count })
          // What it has done so far does not count.
          check('process', order)
        },
      })
      .uid('count')
      .keyBy(({ n }) => n % 2)
      .process({
        state: { total: valueState<number>() },
        processElement(order, { state }, out: { collect(value: unknown): void }) {
          state.total.update((state.total.value() ?? 0) + 1)
          check('far', order)
          out.collect({ user: order.user, n: order.n, count: order.count, total: state.total.value() })
        },
      })
      .uid('total')
      .sinkTo(outside.sink())
      .uid('out')
  }
}

function some(poison: Poison | undefined, bad: readonly number[], count = 10): Order[] {
  return Array.from({ length: count }, (_, n) => ({ user: 'ab'[n % 2], n, ...(poison !== undefined && bad.includes(n) ? { poison } : {}) }))
}

/** What comes out of these orders: one that is poison is as if it had never come to the function that throws for it. */
function results(all: readonly Order[]) {
  const seen = new Map<string | number, number>()
  const next = (key: string | number) => {
    seen.set(key, (seen.get(key) ?? 0) + 1)
    return seen.get(key)
  }
  const counted = all.filter(({ poison }) => poison === undefined || poison === 'far').map((order) => ({ ...order, count: next(order.user) }))
  return counted.filter(({ poison }) => poison === undefined).map(({ user, n, count }) => ({ user, n, count, total: next(n % 2) }))
}

let world: StageWorld
let outside: Outside

beforeEach(() => {
  world = StageWorld.withStream('orders')
  outside = new Outside()
})

async function started(failingRecords: StageSettings['failingRecords'], settings: Partial<StageSettings> = {}): Promise<Stages> {
  const stages = await Stages.activated(world, orders(outside), { settings: { failingRecords, ...settings } })
  return stages
}

const PLACES: readonly (readonly [Poison, string, string])[] = [
  ['deserialize', 'orders', 's0'],
  ['map', 'orders', 's0'],
  ['key', 'count', '0'],
  ['process', 'count', '0'],
  ['far', 'total', '0'],
]

describe('a record that a function throws for, where the policy is to fail', () => {
  it.each(PLACES)('%s: the batch comes again, each time with the error, until the job is mended; nothing is lost', async (poison, stage, subtask) => {
    const stages = await started('fail')
    const all = some(poison, [4])
    stages.put('orders', 's0', ...all.slice(0, 2))
    await stages.comeToRest()
    stages.put('orders', 's0', ...all.slice(2))
    for (const before of ['orders', 'count', 'total']) {
      if (before === stage) break
      await stages.takeBatch(before, before === 'orders' ? 's0' : '0')
    }
    const { version } = await stages.head(stage, subtask)
    const acknowledged = stages.acknowledged(stage, subtask)
    for (let attempt = 1; attempt <= 3; attempt++) {
      const error = await thrownBy(stages.takeBatch(stage, subtask))
      expect(error.code).toBe(poison === 'deserialize' ? 'RECORD_MALFORMED' : 'USER_FUNCTION')
      expect(`${error.message} ${String(error.cause)}`).toContain(`${poison} does not like 4`)
      expect(error.message).toContain('what to do:')
      expect(world.count('record-failed')).toBe(attempt)
    }
    expect((await stages.head(stage, subtask)).version).toBe(version)
    expect(stages.acknowledged(stage, subtask)).toBe(acknowledged)
    expect(world.letters.size).toBe(0)
    stages.deploy(orders(outside, poison))
    await stages.comeToRest()
    expect(outside.values).toEqual(results(all.map(({ user, n }) => ({ user, n }))))
  })

  it('says which record of which shard it was', async () => {
    const stages = await started('fail')
    stages.put('orders', 's0', ...some('deserialize', [3]))
    const { message } = await thrownBy(stages.takeBatch('orders', 's0'))
    const { position } = world.streams.stream('orders').records('s0')[3]
    expect(message).toContain(`record ${position} of s0`)
    expect(message).toContain('stream "orders"')
  })

  it('a checkpoint goes on around the stage that fails once it is mended', async () => {
    const stages = await started('fail')
    const all = some('process', [4])
    stages.put('orders', 's0', ...all)
    await stages.takeBatch('orders', 's0')
    await stages.control.begin('checkpoint')
    await expect(stages.comeToRest({ tries: 2 })).rejects.toMatchObject({ code: 'USER_FUNCTION' })
    expect(await stages.control.poll()).toMatchObject({ status: 'pending' })
    stages.deploy(orders(outside, 'process'))
    await stages.comeToRest()
    expect(await stages.control.poll()).toMatchObject({ status: 'completed' })
    expect(outside.values).toHaveLength(10)
  })
})

/** The key of the keyed stages, by what the record with this number has. */
const keyOf: Readonly<Record<string, (n: number) => unknown>> = { count: (n) => 'ab'[n % 2], total: (n) => n % 2 }

describe('a record that a function throws for, where the policy is dead letters', () => {
  it.each(PLACES)('%s: it becomes a letter, and all others are processed as if it had not been there', async (poison, stage, subtask) => {
    const stages = await started('dead-letter')
    const all = some(poison, [4, 7])
    stages.put('orders', 's0', ...all)
    await stages.comeToRest()
    expect(outside.values).toEqual(results(all))
    const letters = [...world.letters.values()]
    expect(letters).toHaveLength(2)
    expect(world.letterWrites).toHaveLength(2)
    expect(world.count('dead-letter')).toBeGreaterThanOrEqual(2)
    expect(world.count('outbox-sent-again')).toBe(0)
    for (const [i, n] of [4, 7].entries()) {
      const { where, error, record, uid, ...place } = letters[i]
      const key = stage === 'orders' || poison === 'key' ? null : keyOf[stage](n)
      expect(place).toEqual({ stage, subtask, key, partitionKey: stage === 'orders' ? '' : null, atMs: world.now })
      expect(uid).toMatch(/^(?:orders|check|count|total)$/)
      expect(error).toContain(`${poison} does not like ${n}`)
      if (stage === 'orders') {
        const { position, data } = world.streams.stream('orders').records('s0')[n]
        expect(where).toBe(`s0 ${position}`)
        expect(record).toEqual(data)
      } else {
        // Channel, frame, element, row.
        expect(where).toMatch(/^\d+:\S+ \d+ \d+ \d+$/)
        expect(record).toMatchObject({ user: 'ab'[n % 2], n, poison })
      }
    }
  })

  it('key, where the sender asks for it, too: it is the letter of the stage before', async () => {
    const stages = await Stages.activated(world, orders(outside), { parallelism: 2, settings: { failingRecords: 'dead-letter' } })
    const all = some('key', [4, 7])
    stages.put('orders', 's0', ...all)
    await stages.comeToRest()
    const counts = (values: readonly unknown[]) => sortedJson(values.map((value) => ({ ...(value as object), total: 0 })))
    expect(counts(outside.values)).toEqual(counts(results(all)))
    expect([...world.letters.values()]).toMatchObject([4, 7].map((n) => ({ stage: 'orders', error: expect.stringContaining(`like ${n}`) })))
  })

  it.each([256 * 1024, 300])('one among many, the first and the last (frames of %s bytes)', async (frameBytes) => {
    const stages = await started('dead-letter', { frameBytes })
    const bad = [0, 37, 99]
    const all = some('process', bad, 100)
    stages.put('orders', 's0', ...all)
    await stages.comeToRest()
    expect(outside.values).toEqual(results(all))
    expect([...world.letters.values()].map(({ record }) => (record as Order).n)).toEqual(bad)
    expect(world.streams.stream('job/1/count').records('0').length > 1).toBe(frameBytes < 1_000)
  })

  it('many in a batch: each failure is paid for once, not with the whole batch anew', async () => {
    const stages = await started('dead-letter')
    const bad = Array.from({ length: 60 }, (_, i) => 2 * i)
    const all = some('map', bad, 120)
    stages.put('orders', 's0', ...all)
    const { version } = await stages.head('orders', 's0')
    // The function is cut off in the midst of it, again and again: each time it comes further.
    let appends = 0
    world.fault = ({ port, operation, key }) => {
      if (port !== 'log' || operation !== 'append' || !key.endsWith('orders/s0')) return undefined
      return ++appends % 20 === 0 ? { kind: 'throw-before' } : undefined
    }
    let last = version
    for (let cut = 0; cut < 3; cut++) {
      await expect(stages.takeBatch('orders', 's0')).rejects.toMatchObject({ code: 'AWS_CALL' })
      stages.crash()
      const head = await stages.head('orders', 's0')
      expect(head.version).toBeGreaterThan(last)
      last = head.version
    }
    await stages.comeToRest({ tries: 3 })
    expect(outside.values).toEqual(results(all))
    expect(world.letters.size).toBe(bad.length)
    expect(world.count('record-failed')).toBeLessThanOrEqual(bad.length + 10)
  })

  it('all of a batch', async () => {
    const stages = await started('dead-letter')
    stages.put('orders', 's0', ...some('map', [0, 1, 2, 3, 4], 5))
    await stages.comeToRest()
    expect(outside.values).toEqual([])
    expect(world.letters.size).toBe(5)
    expect(stages.acknowledged('orders', 's0')).toBe(5)
    stages.put('orders', 's0', ...some(undefined, [], 2))
    await stages.comeToRest()
    expect(outside.values).toHaveLength(2)
  })

  it('different functions in different stages', async () => {
    const stages = await started('dead-letter')
    const poisons: readonly (Poison | undefined)[] = [
      'deserialize',
      undefined,
      'map',
      'process',
      undefined,
      'far',
      'key',
      undefined,
      'far',
      'process',
    ]
    const all = poisons.map((poison, n): Order => ({ user: 'ab'[n % 2], n, ...(poison === undefined ? {} : { poison }) }))
    stages.put('orders', 's0', ...all)
    await stages.comeToRest()
    expect(outside.values).toEqual(results(all))
    expect(sortedJson([...world.letters.values()].map(({ stage }) => stage))).toEqual(
      sortedJson(['orders', 'orders', 'count', 'count', 'count', 'total', 'total']),
    )
  })

  it('a letter that is sent again has the same id', async () => {
    const stages = await started('dead-letter')
    stages.put('orders', 's0', ...some('map', [1, 2], 4))
    let writes = 0
    const { write } = stages.ports.deadLetters
    Object.assign(stages.ports.deadLetters, {
      write: async (id: string, letter: Parameters<typeof write>[1]) => {
        await write(id, letter)
        if (++writes === 1) throw new Error('the queue has it and does not answer')
      },
    })
    await expect(stages.takeBatch('orders', 's0')).rejects.toThrow('the queue has it')
    stages.crash()
    await stages.comeToRest()
    expect(world.letterWrites.length).toBeGreaterThan(2)
    expect(world.letterWrites[1]).toBe(world.letterWrites[0])
    expect(new Set(world.letterWrites).size).toBe(2)
    expect(world.letters.size).toBe(2)
    expect(outside.values).toHaveLength(2)
  })

  it('crashes anywhere: each letter is there once, and everything else is processed once', async () => {
    const all = some('process', [2], 6).map((order): Order => (order.n === 4 ? { ...order, poison: 'map' } : order))
    const crashes = await crashEverywhere(
      async () => {
        const own = StageWorld.withStream('orders')
        const to = new Outside()
        const stages = await Stages.activated(own, orders(to), { settings: { failingRecords: 'dead-letter', commitRecords: 4 } })
        stages.put('orders', 's0', ...all)
        return { world: own, stages, to }
      },
      ({ stages }) => stages.comeToRest({ tries: 3 }),
      ({ world: own, to }, crash) => {
        expect(to.values, crash).toEqual(results(all))
        expect([...own.letters.values()].map(({ stage }) => stage).toSorted(), crash).toEqual(['count', 'orders'])
      },
    )
    expect(crashes).toBeGreaterThan(30)
  })

  it('a checkpoint that is cut between letters neither loses nor repeats them', async () => {
    const stages = await started('dead-letter')
    const all = some('process', [1, 6])
    stages.put('orders', 's0', ...all.slice(0, 5))
    await stages.comeToRest()
    const ref = await stages.checkpoint('stop')
    await stages.activate({ from: ref })
    stages.put('orders', 's0', ...all.slice(5))
    await stages.comeToRest()
    expect(outside.values).toEqual(results(all))
    expect(world.letterWrites).toHaveLength(2)
  })

  it('what a timer throws is nobody’s letter: it fails', async () => {
    const define = (env: StreamExecutionEnvironment) => {
      const deserialize = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data)) as Order
      env
        .fromSource(kinesisSource({ stream: 'orders', deserialize }), WatermarkStrategy.noWatermarks<Order>())
        .uid('orders')
        .setParallelism(1)
        .keyBy(({ user }) => user)
        .process({
          processElement(_order, { timerService }) {
            timerService.registerProcessingTimeTimer(timerService.currentProcessingTime() + 1_000)
          },
          onTimer() {
            throw new RangeError('the timer does not like it')
          },
        })
        .uid('timer')
        .sinkTo(outside.sink())
        .uid('out')
    }
    const stages = await Stages.activated(world, define, { settings: { failingRecords: 'dead-letter' } })
    stages.put('orders', 's0', ...some(undefined, [], 1))
    await stages.comeToRest()
    world.now += 1_000
    await expect(stages.comeToRest({ tries: 2 })).rejects.toMatchObject({ code: 'USER_FUNCTION' })
    expect(world.letters.size).toBe(0)
  })
})
