import { describe, expect, expectTypeOf, test } from 'vitest'
import { type DataStream, defineJob, explain, type KeyedConnectedStreams, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import {
  AbstractRichFunction,
  type Collector,
  type CoMapFunction,
  listState,
  MAX_WATERMARK,
  OutputTag,
  RichCoFlatMapFunction,
  type RuntimeContext,
  ValueStateDescriptor,
  valueState,
} from '../../runtime/core/index.js'
import { expectFailure, outOf, runJob, sorted } from '../local/run-job.js'
import { type Ev, TwoInputDriver } from './two-input-driver.js'

type Stream = DataStream<Ev>
const k = (e: Ev) => e.k

describe('coMap and coFlatMap', () => {
  test('each input has its function; timestamps stay', async () => {
    const driver = await TwoInputDriver.open((a, b) => a.connect(b).map({ map1: (e) => `1 ${e.k}`, map2: (e) => e.v * 2 }))
    driver.element(0, { k: 'a', v: 1 }, 5).element(1, { k: 'b', v: 2 }, 3).element(0, { k: 'c', v: 1 })
    expect(driver.taken()).toEqual([
      { value: '1 a', ts: 5 },
      { value: 4, ts: 3 },
      { value: '1 c', ts: null },
    ])
  })

  test('flatMap collects any number; rich functions are opened and closed once a subtask', async () => {
    const calls: string[] = []
    class Spread extends RichCoFlatMapFunction<Ev, Ev, string> {
      override open(context: RuntimeContext) {
        super.open(context)
        calls.push('open')
      }
      flatMap1(e: Ev, out: Collector<string>) {
        for (let i = 0; i < e.v; i++) out.collect(`${e.k}${i}`)
      }
      flatMap2() {}
      override close() {
        calls.push('close')
      }
    }
    const out = await outOf((env) => {
      const a = env.fromElements<Ev>({ k: 'a', v: 2 }, { k: 'b', v: 1 })
      a.connect(env.fromElements<Ev>({ k: 'x', v: 9 }))
        .flatMap(new Spread())
        .collect('out')
    })
    expect(out).toEqual(['a0', 'a1', 'b0'])
    expect(calls).toEqual(['open', 'close'])
  })

  test('a rich coMap on keyed streams has keyed state, which both inputs share', async () => {
    class Latest extends AbstractRichFunction implements CoMapFunction<Ev, Ev, (number | string | null)[]> {
      #state = () => this.getRuntimeContext().getState(new ValueStateDescriptor<number>('latest'))
      map1(e: Ev) {
        const before = this.#state().value()
        this.#state().update(e.v)
        return [e.k, before]
      }
      map2(e: Ev) {
        return this.map1(e)
      }
    }
    const driver = await TwoInputDriver.open((a, b) => a.connect(b).keyBy('k', 'k').map(new Latest()))
    driver.element(0, { k: 'a', v: 1 }).element(1, { k: 'a', v: 2 }).element(0, { k: 'b', v: 3 }).element(0, { k: 'a', v: 4 })
    expect(driver.values()).toEqual([
      ['a', null],
      ['a', 1],
      ['b', null],
      ['a', 2],
    ])
  })

  test('what a function throws names the operator and the function', async () => {
    const thrower = () => {
      throw new Error('no')
    }
    const job = runJob((env) => {
      const s = env.fromElements(1)
      s.connect(s)
        .map({ map1: (i) => i, map2: thrower })
        .uid('both')
        .collect('out')
    })
    await expectFailure(job, 'USER_FUNCTION', 'map2 threw (no)', 'uid both')
  })
})

describe('coProcess without keys', () => {
  const odd = new OutputTag<number>('odd')
  const define = (a: Stream, b: Stream) =>
    a.connect(b).process({
      processElement1(e, ctx, out: Collector<unknown>) {
        if (e.v % 2 === 1) ctx.output(odd, e.v)
        out.collect([e.v, ctx.timestamp, ctx.timerService.currentWatermark()])
      },
      processElement2(e, ctx, out) {
        if (e.t === 'timer') ctx.timerService.registerEventTimeTimer(1)
        out.collect(e.v)
      },
    })

  test('sees timestamps and the lesser watermark, and has side outputs', async () => {
    const driver = await TwoInputDriver.open(define, ['odd'])
    driver.watermark(0, 10).element(0, { k: '', v: 1 }, 4).watermark(1, 7).element(0, { k: '', v: 2 }).end(1)
    expect(driver.taken()).toEqual([
      { side: 'odd', value: 1, ts: 4 },
      { value: [1, 4, Number.NEGATIVE_INFINITY], ts: 4 },
      { watermark: 7 },
      { value: [2, null, 7], ts: null },
      { watermark: 10 },
    ])
  })

  test('refuses timers', async () => {
    const driver = await TwoInputDriver.open(define)
    expect(() => driver.element(1, { k: '', v: 1, t: 'timer' })).toThrow(/USER_FUNCTION: processElement2 threw.*timers need a keyed stream/)
  })
})

describe('keyed coProcess', () => {
  const late = new OutputTag<string>('timers')
  const timers = (a: Stream, b: Stream) =>
    a
      .keyBy(k)
      .connect(b.keyBy(k))
      .process({
        state: { sum: valueState<number>({ defaultValue: 0 }) },
        processElement1(e, ctx, out: Collector<unknown>) {
          ctx.state.sum.update((ctx.state.sum.value() as number) + e.v)
          if (e.t === 'proc') ctx.timerService.registerProcessingTimeTimer(e.v)
          else ctx.timerService.registerEventTimeTimer(e.v)
          out.collect([ctx.currentKey, ctx.state.sum.value()])
        },
        processElement2(e, ctx) {
          if (e.t === 'delete') ctx.timerService.deleteEventTimeTimer(e.v)
          else ctx.state.sum.update(e.v)
        },
        onTimer(time, ctx, out) {
          ctx.output(late, `${ctx.currentKey}@${ctx.timestamp}`)
          out.collect([ctx.currentKey, time, ctx.timeDomain, ctx.state.sum.value()])
        },
      })

  test('both inputs share state and timers; event timers follow the lesser watermark', async () => {
    const driver = await TwoInputDriver.open(timers, ['timers'])
    driver.element(0, { k: 'a', v: 100 }, 1).element(0, { k: 'b', v: 50 }, 2).element(0, { k: 'a', v: 60 }, 2)
    driver.element(1, { k: 'b', v: 7 }).element(1, { k: 'a', v: 60, t: 'delete' })
    expect(driver.values()).toEqual([
      ['a', 100],
      ['b', 50],
      ['a', 160],
    ])
    driver.watermark(0, 200)
    expect(driver.taken()).toEqual([])
    driver.watermark(1, 99)
    expect(driver.taken()).toEqual([{ side: 'timers', value: 'b@50', ts: 50 }, { value: ['b', 50, 'event-time', 7], ts: 50 }, { watermark: 99 }])
    driver.end(1)
    expect(driver.taken()).toEqual([
      { side: 'timers', value: 'a@100', ts: 100 },
      { value: ['a', 100, 'event-time', 160], ts: 100 },
      { watermark: 200 },
    ])
  })

  test('processing timers fire by the clock; their results have no timestamp', async () => {
    const driver = await TwoInputDriver.open(timers, ['timers'])
    driver.element(0, { k: 'a', v: 30, t: 'proc' }, 1).taken()
    driver.processingTime(29)
    expect(driver.taken()).toEqual([])
    driver.processingTime(30)
    expect(driver.taken()).toEqual([
      { side: 'timers', value: 'a@30', ts: 30 },
      { value: ['a', 30, 'processing-time', 30], ts: null },
    ])
  })

  test('state and timers survive a restart', async () => {
    const first = await TwoInputDriver.open(timers)
    first.element(0, { k: 'a', v: 100 }).element(0, { k: 'b', v: 40, t: 'proc' })
    const second = await first.restart()
    second.element(1, { k: 'b', v: 5 }).processingTime(40).watermarks(100)
    expect(second.taken()).toEqual([
      { value: ['b', 40, 'processing-time', 5], ts: null },
      { value: ['a', 100, 'event-time', 100], ts: 100 },
      { watermark: 100 },
    ])
  })

  test('an idle input does not hold the watermark back, and both idle go on as idle', async () => {
    const driver = await TwoInputDriver.open(timers)
    driver.watermark(0, 10).status(1, true)
    expect(driver.taken()).toEqual([{ watermark: 10 }])
    driver.status(0, true)
    expect(driver.taken()).toEqual([{ idle: true }])
    driver.status(1, false).watermark(1, 5)
    expect(driver.taken()).toEqual([{ idle: false }])
    driver.watermark(1, 20)
    expect(driver.taken()).toEqual([{ watermark: 20 }])
  })

  test('a key selector of either input that throws is said', async () => {
    for (const bad of [0, 1]) {
      const select = (input: number) => (i: number) => {
        if (input === bad && i === 2) throw new Error('no key')
        return i
      }
      const job = runJob((env) => {
        const s = env.fromElements(1, 2)
        s.connect(s)
          .keyBy(select(0), select(1))
          .map({ map1: (i) => i, map2: (i) => i })
          .uid('m')
          .collect('out')
      })
      await expectFailure(job, 'USER_FUNCTION', 'no key', 'uid m')
    }
  })
})

/** Each order waits for its payment: as many results as orders, whatever the interleaving. */
function matching(orders: readonly Ev[], payments: readonly Ev[]) {
  return [...orders.keys()].map((i) => [orders[i].k, orders[i].v, payments.find((p) => p.k === orders[i].k)?.v])
}

describe('in a whole job', () => {
  const orders = Array.from({ length: 3000 }, (_, i) => ({ k: `order ${i % 700}`, v: i }))
  const payments = Array.from({ length: 700 }, (_, i) => ({ k: `order ${i}`, v: i * 10 }))

  for (const parallelism of [1, 2, 3]) {
    test(`enrichment is exact at parallelism ${parallelism}`, async () => {
      const out = await outOf(
        (env) => {
          const a = env.fromCollection(orders).rebalance()
          const b = env.fromCollection(payments).rebalance()
          a.connect(b)
            .keyBy('k', 'k')
            .process({
              state: { payment: valueState<number>(), waiting: listState<number>() },
              processElement1({ k: order, v }, { state }, out: Collector<unknown>) {
                const payment = state.payment.value()
                if (payment === null) state.waiting.add(v)
                else out.collect([order, v, payment])
              },
              processElement2({ k: order, v }, { state }, out) {
                state.payment.update(v)
                for (const waiting of state.waiting.get()) out.collect([order, waiting, v])
                state.waiting.clear()
              },
            })
            .collect('out')
        },
        { parallelism },
      )
      expect(sorted(out)).toEqual(sorted(matching(orders, payments)))
    })
  }

  test('a stream connected to itself and unions of streams feed the right inputs', async () => {
    const out = await outOf(
      (env) => {
        const s = env.fromElements(1, 2, 3)
        const more = env.fromElements(10, 20)
        s.union(more)
          .connect(s)
          .map({ map1: (i) => `first ${i}`, map2: (i) => `second ${i}` })
          .collect('out')
      },
      { parallelism: 2 },
    )
    expect(sorted(out)).toEqual(sorted([...[1, 2, 3, 10, 20].map((i) => `first ${i}`), ...[1, 2, 3].map((i) => `second ${i}`)]))
  })

  test('the plan says which input a stream feeds; the watermark metric is the lesser of the two', async () => {
    const define = (env: StreamExecutionEnvironment) => {
      const a = env.fromElements(1).uid('a')
      a.connect(env.fromElements(2).uid('b'))
        .map({ map1: (i) => i, map2: (i) => i })
        .uid('m')
        .collect('out')
    }
    const text = explain(defineJob('test', define))
    expect(text).toContain('reads stage 1 (a) by forward\n  reads stage 2 (b) by forward as second input')
    const driver = await TwoInputDriver.open((a, b) => a.connect(b).map({ map1: (e) => e.v, map2: (e) => e.v }))
    driver.watermark(0, 10)
    expect(driver.watermarkMetric).toBe(Number.NEGATIVE_INFINITY)
    driver.watermark(1, 4)
    expect(driver.watermarkMetric).toBe(4)
  })

  test('all timers fire at the end of both inputs', async () => {
    const out = await outOf((env) => {
      const s = env.fromElements('x', 'y')
      s.keyBy((x) => x)
        .connect(s.keyBy((x) => x))
        .process({
          processElement1(_x, ctx) {
            ctx.timerService.registerEventTimeTimer(MAX_WATERMARK)
          },
          processElement2() {},
          onTimer(_time, ctx, out: Collector<string>) {
            out.collect(ctx.currentKey)
          },
        })
        .collect('out')
    })
    expect(sorted(out)).toEqual(['x', 'y'])
  })

  test('streams of different jobs cannot be connected', async () => {
    let other: DataStream<number> | undefined
    await runJob((env) => {
      other = env.fromElements(1)
      other.collect('out')
    })
    const job = (async () =>
      runJob(
        (env) =>
          void env
            .fromElements(1)
            .connect(other as DataStream<number>)
            .map({ map1: (i) => i, map2: (i) => i }),
      ))()
    await expectFailure(job, 'PLAN_INVALID', 'different jobs')
  })
})

test('types follow without annotation', () => {
  const check = (a: DataStream<{ id: number; name: string }>, b: DataStream<{ owner: number; price: bigint }>) => {
    expectTypeOf(a.connect(b).map({ map1: (x) => x.name, map2: (y) => y.price })).toEqualTypeOf<DataStream<string | bigint>>()
    const keyed = a.connect(b).keyBy(
      (x) => x.id,
      (y) => y.owner,
    )
    expectTypeOf(keyed).toEqualTypeOf<KeyedConnectedStreams<{ id: number; name: string }, { owner: number; price: bigint }, number>>()
    expectTypeOf(a.keyBy('id').connect(b.keyBy('owner'))).toEqualTypeOf(keyed)
    expectTypeOf(a.connect(b).keyBy('id', 'owner')).toEqualTypeOf(keyed)
    const processed = keyed.process({
      state: { total: valueState<bigint>() },
      processElement1(x, ctx) {
        expectTypeOf(x.name).toEqualTypeOf<string>()
        expectTypeOf(ctx.currentKey).toEqualTypeOf<number>()
        expectTypeOf(ctx.state.total.value()).toEqualTypeOf<bigint | null>()
      },
      processElement2(y, _ctx, out: Collector<Date>) {
        expectTypeOf(y.price).toEqualTypeOf<bigint>()
        out.collect(new Date(0))
      },
      onTimer(_time, ctx) {
        expectTypeOf(ctx.state.total.value()).toEqualTypeOf<bigint | null>()
      },
    })
    expectTypeOf(processed).toEqualTypeOf<DataStream<Date>>()
    const connected = a.connect(b)
    // @ts-expect-error keys of different types never meet
    connected.keyBy((x) => x.name, (y: { owner: number }) => y.owner) // biome-ignore format: the error must be on the line after
  }
  expect(check).toBeTypeOf('function')
})
