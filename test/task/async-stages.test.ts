import { beforeEach, describe, expect, it } from 'vitest'
import { AsyncDataStream, type AsyncOptions, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import {
  type AsyncFunction,
  AsyncRetryStrategies,
  ifAnyException,
  TumblingEventTimeWindows,
  valueState,
  WatermarkStrategy,
} from '../../runtime/index.js'
import type { StageSettings } from '../../runtime/task/stage-settings.js'
import { crashEverywhere, jsonStream, Outside, Stages, StageWorld, sortedJson, thrownBy } from './stage-world.js'

const MODES = ['orderedWait', 'unorderedWait'] as const

interface Order {
  readonly n: number
  /** How long its call takes. */
  readonly ms: number
}

interface Priced {
  readonly n: number
  readonly price: number
}

type Pricing = AsyncFunction<Order, Priced>

/** An outside service that takes its time, by the clock of the world. */
class Prices {
  /** The orders it was asked for, in order, with the time. */
  readonly asked: { readonly n: number; readonly at: number }[] = []
  open = 0
  mostOpen = 0
  /** Called before it answers. */
  before: (order: Order) => void = () => {}

  constructor(readonly world: StageWorld) {}

  readonly ask = async (order: Order): Promise<readonly Priced[]> => {
    this.asked.push({ n: order.n, at: this.world.now })
    this.mostOpen = Math.max(this.mostOpen, ++this.open)
    try {
      await this.world.sleep(order.ms)
      this.before(order)
      return [{ n: order.n, price: order.n * 100 }]
    } finally {
      this.open--
    }
  }
}

function priced(count: number): Priced[] {
  return Array.from({ length: count }, (_, n) => ({ n, price: n * 100 }))
}

/** Later ones are quicker, within each five. */
function orders(count: number, from = 0): Order[] {
  return Array.from({ length: count }, (_, i) => ({ n: from + i, ms: 500 - 100 * ((from + i) % 5) }))
}

let world: StageWorld
let outside: Outside
let prices: Prices

beforeEach(() => {
  world = StageWorld.withStream('orders')
  outside = new Outside()
  prices = new Prices(world)
})

function pricing(mode: (typeof MODES)[number], to: Outside, fn: Pricing | Pricing['asyncInvoke'], options: Partial<AsyncOptions<Priced>> = {}) {
  return (env: StreamExecutionEnvironment) => {
    const keyed = jsonStream<Order>(env, 'orders').keyBy(() => 'all')
    AsyncDataStream[mode](keyed, fn as Pricing, { timeoutMs: 0, ...options })
      .uid('price')
      .sinkTo(to.sink())
      .uid('out')
  }
}

async function started(define: (env: StreamExecutionEnvironment) => void, settings: Partial<StageSettings> = {}): Promise<Stages> {
  const stages = await Stages.activated(world, define, { settings })
  return stages
}

describe.each(MODES)('%s in a stage', (mode) => {
  it('waits within the commit for calls that end late, as long as that takes', async () => {
    const stages = await started(pricing(mode, outside, prices.ask), { commitMs: 100 })
    const before = world.now
    stages.put('orders', 's0', ...orders(10), { n: 10, ms: 3 * 3_600_000 })
    await stages.comeToRest()
    expect(world.now - before).toBe(3 * 3_600_000)
    if (mode === 'orderedWait') expect(outside.values).toEqual(priced(11))
    else {
      expect(sortedJson(outside.values)).toEqual(sortedJson(priced(11)))
      // The quickest first.
      expect(outside.values.slice(0, 2)).toEqual([priced(11)[4], priced(11)[9]])
    }
    expect(prices.mostOpen).toBe(11)
    expect(prices.asked).toHaveLength(11)
  })

  it('goes on in the midst of a frame when no more calls may be open', async () => {
    const stages = await started(pricing(mode, outside, prices.ask, { capacity: 3 }))
    stages.put('orders', 's0', ...orders(20))
    await stages.comeToRest()
    for (const order of orders(7, 20)) {
      stages.put('orders', 's0', order)
      await stages.takeBatch('orders', 's0')
    }
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(sortedJson(priced(27)))
    if (mode === 'orderedWait') expect(outside.values).toEqual(priced(27))
  })

  it('leaves nothing open behind a commit, nor in a checkpoint', async () => {
    const stages = await started(pricing(mode, outside, prices.ask))
    stages.put('orders', 's0', ...orders(5))
    await stages.takeBatch('orders', 's0')
    const ref = await stages.checkpoint()
    expect(prices.open).toBe(0)
    const manifest = await world.checkpoints.load(ref.checkpointId)
    expect(manifest.operators.find(({ uid }) => uid === 'price')?.subtasks[0].operatorState).toEqual([])
    await stages.activate({ from: ref })
    stages.put('orders', 's0', ...orders(2, 5))
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(sortedJson(priced(7)))
  })

  it.each([1, 5])('exactly once wherever it crashes, with calls made again (batches of %s)', async (batchRecords) => {
    const crashes = await crashEverywhere(
      async () => {
        const own = StageWorld.withStream('orders')
        const to = new Outside()
        const service = new Prices(own)
        const settings = { commitRecords: 2, inlineBytes: 60, longestTail: 3 }
        const stages = await Stages.activated(own, pricing(mode, to, service.ask, { capacity: 2 }), { settings, batchRecords })
        stages.put('orders', 's0', ...orders(5))
        return { world: own, stages, to, service }
      },
      ({ stages }) => stages.comeToRest({ tries: 3 }),
      ({ to, service }, crash) => {
        expect(sortedJson(to.values), crash).toEqual(sortedJson(priced(5)))
        expect(new Set(service.asked.map(({ n }) => n)).size).toBe(5)
      },
    )
    expect(crashes).toBeGreaterThan(20)
  })
})

describe('a call that takes too long', () => {
  const slow = { n: 1, ms: 9_000 }

  it('fails the batch where the function does not say what then: nothing of it is committed, and it comes again', async () => {
    const stages = await started(pricing('orderedWait', outside, prices.ask, { timeoutMs: 1_000 }))
    stages.put('orders', 's0', { n: 0, ms: 10 }, slow)
    await stages.takeBatch('orders', 's0')
    const { version } = await stages.head('price', '0')
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await thrownBy(stages.takeBatch('price', '0'))
      expect(error.code).toBe('ASYNC_TIMEOUT')
      expect(error.message).toContain('within 1000 ms')
      expect(error.message).toContain('uid price')
    }
    expect((await stages.head('price', '0')).version).toBe(version)
    expect(outside.values).toEqual([])
    stages.deploy(pricing('orderedWait', outside, (order: Order) => prices.ask({ ...order, ms: 10 }), { timeoutMs: 1_000 }))
    await stages.comeToRest()
    expect(outside.values).toEqual(priced(2))
  })

  it.each(MODES)('%s: gives what the function says instead, and what comes later does not count', async (mode) => {
    const fn: Pricing = {
      asyncInvoke: prices.ask,
      timeout: async ({ n }) => [{ n, price: -1 }],
    }
    const stages = await started(pricing(mode, outside, fn, { timeoutMs: 1_000 }))
    stages.put('orders', 's0', { n: 0, ms: 10 }, slow, { n: 2, ms: 20 })
    const before = world.now
    await stages.comeToRest()
    expect(world.now - before).toBe(1_000)
    world.now += 20_000
    stages.put('orders', 's0', { n: 3, ms: 10 })
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(sortedJson([...priced(4).filter(({ n }) => n !== 1), { n: 1, price: -1 }]))
  })
})

describe('calls that are made again', () => {
  const retry = AsyncRetryStrategies.exponentialBackoff<Priced>({
    maxAttempts: 3,
    initialDelayMs: 100,
    maxDelayMs: 10_000,
    ifException: ifAnyException,
  })

  /** Fails the first `times` calls for order 1. */
  function failing(times: number): void {
    let left = times
    prices.before = ({ n }) => {
      if (n === 1 && left-- > 0) throw new Error('the service is busy')
    }
  }

  it.each(MODES)('%s: after their pauses, until one succeeds', async (mode) => {
    failing(3)
    const stages = await started(pricing(mode, outside, prices.ask, { timeoutMs: 60_000, retry }))
    stages.put('orders', 's0', { n: 0, ms: 10 }, { n: 1, ms: 10 }, { n: 2, ms: 5 })
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(sortedJson(priced(3)))
    const times = prices.asked.filter(({ n }) => n === 1).map(({ at }) => at)
    expect(times.map((at) => at - times[0])).toEqual([0, 110, 320, 730])
  })

  it('without a pause', async () => {
    failing(2)
    const atOnce = { maxAttempts: 2, backoffMs: () => 0, ifException: ifAnyException }
    const stages = await started(pricing('orderedWait', outside, prices.ask, { timeoutMs: 60_000, retry: atOnce }))
    stages.put('orders', 's0', { n: 0, ms: 10 }, { n: 1, ms: 0 })
    await stages.comeToRest()
    expect(outside.values).toEqual(priced(2))
    expect(prices.asked.map(({ n }) => n)).toEqual([0, 1, 1, 1])
  })

  it('too often: the batch fails, and begins with new tries when it comes again', async () => {
    failing(5)
    const stages = await started(pricing('orderedWait', outside, prices.ask, { timeoutMs: 60_000, retry }))
    stages.put('orders', 's0', { n: 0, ms: 10 }, { n: 1, ms: 10 })
    await expect(stages.comeToRest()).rejects.toMatchObject({ code: 'USER_FUNCTION' })
    expect(outside.values).toEqual([])
    expect(prices.asked.filter(({ n }) => n === 1)).toHaveLength(4)
    await stages.comeToRest()
    expect(outside.values).toEqual(priced(2))
    expect(prices.asked.filter(({ n }) => n === 1)).toHaveLength(6)
  })

  it('the time-out counts over all of them', async () => {
    failing(99)
    const fn: Pricing = { asyncInvoke: prices.ask, timeout: async ({ n }) => [{ n, price: -1 }] }
    const stages = await started(pricing('orderedWait', outside, fn, { timeoutMs: 300, retry }))
    stages.put('orders', 's0', { n: 0, ms: 10 }, { n: 1, ms: 10 })
    const before = world.now
    await stages.comeToRest()
    expect(world.now - before).toBe(300)
    expect(outside.values).toEqual([priced(1)[0], { n: 1, price: -1 }])
  })
})

describe('around asynchronous calls', () => {
  interface Bid {
    readonly n: number
    readonly ms: number
    readonly t: number
  }

  /** Keyed state before, event-time windows behind. */
  function windowsBehind(mode: (typeof MODES)[number], to: Outside, service: Prices) {
    const strategy = WatermarkStrategy.forMonotonousTimestamps<Bid>().withTimestampAssigner(({ t }) => t)
    return (env: StreamExecutionEnvironment) => {
      const numbered = jsonStream<Bid>(env, 'orders', strategy)
        .keyBy(({ n }) => n % 2)
        .process({
          state: { count: valueState<number>() },
          processElement(bid, { state }, out: { collect(value: Bid & { count: number }): void }) {
            const count = (state.count.value() ?? 0) + 1
            state.count.update(count)
            out.collect({ ...bid, count })
          },
        })
        .uid('number')
      AsyncDataStream[mode](
        numbered,
        async (bid: Bid & { count: number }) => {
          const [{ price }] = await service.ask(bid)
          return [{ ...bid, price }]
        },
        { timeoutMs: 60_000, capacity: 4 },
      )
        .uid('price')
        .keyBy(({ n }) => n % 2)
        .window(TumblingEventTimeWindows.of(1_000))
        .process({
          process: (key, { window }, bids, out: { collect(value: unknown): void }) => {
            const all = [...bids].sort((a, b) => a.n - b.n)
            out.collect({ key, start: window.start, counts: all.map(({ count }) => count), sum: all.reduce((sum, { price }) => sum + price, 0) })
          },
        })
        .uid('sum')
        .sinkTo(to.sink())
        .uid('out')
    }
  }

  const bids = Array.from({ length: 14 }, (_, n): Bid => ({ n, ms: 700 - 100 * (n % 7), t: n * 250 }))
  const end: Bid = { n: 100, ms: 1, t: 1_000_000 }

  function sums() {
    return [0, 1, 2, 3].flatMap((window) =>
      [0, 1].map((key) => {
        const all = bids.filter(({ n, t }) => n % 2 === key && Math.floor(t / 1_000) === window)
        return { key, start: window * 1_000, counts: all.map(({ n }) => (n - key) / 2 + 1), sum: all.reduce((sum, { n }) => sum + n * 100, 0) }
      }),
    )
  }

  it.each(MODES)('%s: no record becomes late, no window misses one', async (mode) => {
    const stages = await started(windowsBehind(mode, outside, prices))
    stages.put('orders', 's0', ...bids.slice(0, 6))
    await stages.comeToRest()
    stages.crash()
    stages.put('orders', 's0', ...bids.slice(6), end)
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(sortedJson(sums()))
  })

  it('over a checkpoint that is restored, and another parallelism', async () => {
    const one = await started(windowsBehind('unorderedWait', outside, prices))
    one.put('orders', 's0', ...bids.slice(0, 7))
    await one.comeToRest()
    const ref = await one.checkpoint('stop')
    const three = new Stages(world, windowsBehind('unorderedWait', outside, prices), { revision: '2', parallelism: 3 })
    await three.activate({ from: ref, retire: { ...one.deployment, graph: one.graph } })
    three.put('orders', 's0', ...bids.slice(7), end, { ...end, n: 101 })
    await three.comeToRest()
    expect(sortedJson(outside.values)).toEqual(sortedJson(sums()))
  })
})
