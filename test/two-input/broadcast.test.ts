import { describe, expect, expectTypeOf, test } from 'vitest'
import { BroadcastStream, type DataStream } from '../../runtime/api/index.js'
import { type Collector, listState, mapState, OutputTag, valueState } from '../../runtime/core/index.js'
import { expectFailure, outOf, runJob, sorted } from '../local/run-job.js'
import { type Ev, TwoInputDriver } from './two-input-driver.js'

type Stream = DataStream<Ev>
const k = (e: Ev) => e.k
const rules = mapState<string, number>({ name: 'rules' })
const sum = valueState<number>()
const side = new OutputTag<unknown>('side')

/** Thresholds by name; each element says which it reaches, and the key's sum. */
const define = (a: Stream, b: Stream) =>
  a
    .keyBy(k)
    .connect(b.broadcast(rules))
    .process({
      state: { sum, seen: listState<number>() },
      processElement(e, ctx, out: Collector<unknown>) {
        if (e.t === 'write') (ctx.getBroadcastState(rules) as unknown as Map<string, number>).delete('x')
        ctx.state.sum.update((ctx.state.sum.value() ?? 0) + e.v)
        ctx.timerService.registerEventTimeTimer(e.v)
        const hits = [...ctx.getBroadcastState(rules).entries()].filter(([, least]) => e.v >= least).map(([name]) => name)
        out.collect([ctx.currentKey, ctx.state.sum.value(), hits.sort()])
      },
      processBroadcastElement(rule, ctx, out) {
        ctx.output(side, [rule.k, ctx.timestamp, ctx.currentWatermark(), ctx.currentProcessingTime()])
        if (rule.t === 'delete') ctx.getBroadcastState(rules).remove(rule.k)
        else if (rule.t === 'sums') {
          const sums: unknown[] = []
          ctx.applyToKeyedState(sum, (key, state) => sums.push([key, state.value()]))
          out.collect(sums)
        } else if (rule.t === 'forget') ctx.applyToKeyedState(sum, (key, state) => key === rule.k && state.clear())
        else ctx.getBroadcastState(rules).put(rule.k, rule.v)
      },
      onTimer(time, ctx, out) {
        out.collect(['timer', ctx.currentKey, time, ctx.getBroadcastState(rules).get('r1')])
      },
    })

describe('a keyed stream beside a broadcast one', () => {
  test('rules apply to what comes after them; all keys see them', async () => {
    const driver = await TwoInputDriver.open(define)
    driver.element(0, { k: 'a', v: 5 }).element(1, { k: 'r1', v: 3 }).element(0, { k: 'a', v: 5 }).element(0, { k: 'b', v: 2 })
    driver.element(1, { k: 'r2', v: 1 }).element(0, { k: 'b', v: 4 }).element(1, { k: 'r1', v: 0, t: 'delete' }).element(0, { k: 'c', v: 9 })
    expect(driver.values()).toEqual([
      ['a', 5, []],
      ['a', 10, ['r1']],
      ['b', 2, []],
      ['b', 6, ['r1', 'r2']],
      ['c', 9, ['r2']],
    ])
  })

  test('the broadcast side sees time, and results have its timestamp', async () => {
    const driver = await TwoInputDriver.open(define, ['side'])
    driver.processingTime(77).watermarks(4).element(1, { k: 'r1', v: 3 }, 9).element(1, { k: '', v: 0, t: 'sums' }, 10)
    expect(driver.taken()).toEqual([
      { watermark: 4 },
      { side: 'side', value: ['r1', 9, 4, 77], ts: 9 },
      { side: 'side', value: ['', 10, 4, 77], ts: 10 },
      { value: [], ts: 10 },
    ])
  })

  test('applyToKeyedState goes through the keys that have the state, which may be cleared', async () => {
    const driver = await TwoInputDriver.open(define)
    for (const key of ['a', 'b', 'c']) driver.element(0, { k: key, v: 1 })
    driver.element(0, { k: 'b', v: 1 }).taken()
    driver.element(1, { k: '', v: 0, t: 'sums' }).element(1, { k: 'b', v: 0, t: 'forget' }).element(1, { k: '', v: 0, t: 'sums' })
    expect(driver.values().map((list) => sorted(list as unknown[]))).toEqual([
      [
        ['a', 1],
        ['b', 2],
        ['c', 1],
      ],
      [
        ['a', 1],
        ['c', 1],
      ],
    ])
    driver.element(0, { k: 'b', v: 7 })
    expect(driver.values()).toEqual([['b', 7, []]])
  })

  test('timers follow the lesser watermark and read broadcast state', async () => {
    const driver = await TwoInputDriver.open(define)
    driver.element(0, { k: 'a', v: 5 }).element(1, { k: 'r1', v: 3 }).taken()
    driver.watermark(0, 10)
    expect(driver.taken()).toEqual([])
    driver.watermark(1, 6)
    expect(driver.taken()).toEqual([{ value: ['timer', 'a', 5, 3], ts: 5 }, { watermark: 6 }])
  })

  test('the keyed side cannot write', async () => {
    const driver = await TwoInputDriver.open(define)
    expect(() => driver.element(0, { k: 'a', v: 1, t: 'write' })).toThrow(/USER_FUNCTION: processElement threw.*not a function/)
  })

  test('keyed state, timers and broadcast state survive a restart', async () => {
    let driver = await TwoInputDriver.open(define)
    driver.element(1, { k: 'r1', v: 3 }).element(1, { k: 'r2', v: 4 }).element(0, { k: 'a', v: 5 })
    for (let i = 0; i < 3; i++) driver = await driver.restart()
    driver.element(1, { k: 'r2', v: 4, t: 'delete' }).element(0, { k: 'a', v: 5 })
    expect(driver.values()).toEqual([['a', 10, ['r1']]])
    driver = await driver.restart()
    driver.watermarks(5)
    expect(driver.values()).toEqual([['timer', 'a', 5, 3]])
  })

  test('a snapshot does not change with the state', async () => {
    const objects = mapState<string, { n: number }>({ name: 'objects' })
    const count = (a: Stream, b: Stream) =>
      a.connect(b.broadcast(objects)).process({
        processElement(_e, ctx, out: Collector<unknown>) {
          out.collect([...ctx.getBroadcastState(objects).values()].map(({ n }) => n))
        },
        processBroadcastElement(e, ctx) {
          const state = ctx.getBroadcastState(objects)
          const object = state.get(e.k) ?? { n: 0 }
          object.n++
          state.put(e.k, object)
        },
      })
    const first = await TwoInputDriver.open(count)
    const snapshot = await first.element(1, { k: 'x', v: 0 }).snapshot()
    first.element(1, { k: 'x', v: 0 })
    for (let i = 0; i < 2; i++) {
      const second = await TwoInputDriver.open(count, [], snapshot)
      second.element(0, { k: '', v: 0 }).element(1, { k: 'x', v: 0 })
      expect(second.values()).toEqual([[1]])
    }
  })
})

describe('descriptors', () => {
  test('a state that broadcast() was not given is said, by name', async () => {
    const other = mapState<string, number>({ name: 'other' })
    const job = runJob((env) => {
      const s = env.fromElements(1)
      s.connect(s.broadcast(rules))
        .process({
          processElement: (_v, ctx, _out: Collector<number>) => void ctx.getBroadcastState(other),
          processBroadcastElement() {},
        })
        .uid('b')
        .collect('out')
    })
    await expectFailure(job, 'STATE_DESCRIPTOR', 'no broadcast state "other"', 'known are: "rules"', 'uid b')
  })

  test('each needs a name of its own', async () => {
    const broadcast = (...names: [string, ...string[]]) =>
      runJob((env) => {
        const [first, ...more] = names.map((name) => mapState<string, number>({ name }))
        expect(env.fromElements(1).broadcast(first, ...more)).toBeInstanceOf(BroadcastStream)
      })
    await expect((async () => broadcast(''))()).rejects.toThrow(/STATE_DESCRIPTOR: a descriptor of a broadcast state has no name(.|\n)*what to do/)
    await expect((async () => broadcast('a', 'b', 'a'))()).rejects.toThrow(/STATE_DESCRIPTOR: two descriptors.*"a"/)
  })

  test('a value that cannot be serialised fails the snapshot', async () => {
    const functions = mapState<string, () => number>({ name: 'functions' })
    const driver = await TwoInputDriver.open((a, b) =>
      a.connect(b.broadcast(functions)).process({
        processElement() {},
        processBroadcastElement: (e, ctx, _out: Collector<number>) => ctx.getBroadcastState(functions).put(e.k, () => 1),
      }),
    )
    driver.element(1, { k: 'x', v: 1 })
    await expect(driver.snapshot()).rejects.toThrow(/STATE_UNSERIALISABLE.*"functions"/)
  })

  test('keys of broadcast state are compared structurally', async () => {
    const pairs = mapState<readonly [string, number], number>({ name: 'pairs' })
    const driver = await TwoInputDriver.open((a, b) =>
      a.connect(b.broadcast(pairs)).process({
        processElement: (e, ctx, out: Collector<unknown>) =>
          out.collect([ctx.getBroadcastState(pairs).get([e.k, 1]), [...ctx.getBroadcastState(pairs).keys()]]),
        processBroadcastElement: (e, ctx) => ctx.getBroadcastState(pairs).put([e.k, 1], e.v),
      }),
    )
    driver.element(1, { k: 'x', v: 1 }).element(1, { k: 'x', v: 2 }).element(0, { k: 'x', v: 0 })
    expect(driver.values()).toEqual([[2, [['x', 1]]]])
  })
})

describe('in a whole job', () => {
  for (const parallelism of [1, 2, 3]) {
    test(`every subtask gets every broadcast element, parallelism ${parallelism}`, async () => {
      const out = await outOf(
        (env) => {
          const names = env.fromElements('x', 'y', 'z').broadcast(rules)
          env
            .fromElements(1, 2, 3)
            .rebalance()
            .connect(names)
            .process({
              processElement() {},
              processBroadcastElement: (name, ctx, out: Collector<string>) => {
                ctx.getBroadcastState(rules).put(name, 1)
                out.collect([...ctx.getBroadcastState(rules).keys()].join(''))
              },
            })
            .collect('out')
        },
        { parallelism },
      )
      expect(sorted(out)).toEqual(sorted(Array.from({ length: parallelism }, () => ['x', 'xy', 'xyz']).flat()))
    })
  }
})

test('types follow without annotation', () => {
  const check = (a: DataStream<{ id: number }>, b: DataStream<{ name: string }>) => {
    const out = a
      .keyBy('id')
      .connect(b.broadcast(rules))
      .process({
        state: { sum },
        processElement(x, ctx) {
          expectTypeOf(x.id).toEqualTypeOf<number>()
          expectTypeOf(ctx.currentKey).toEqualTypeOf<number>()
          expectTypeOf(ctx.state.sum.value()).toEqualTypeOf<number | null>()
          expectTypeOf(ctx.getBroadcastState(rules).get('r')).toEqualTypeOf<number | undefined>()
          // @ts-expect-error this side cannot write
          ctx.getBroadcastState(rules).put('r', 1)
        },
        processBroadcastElement(y, ctx, out: Collector<Date>) {
          expectTypeOf(y.name).toEqualTypeOf<string>()
          ctx.getBroadcastState(rules).put(y.name, 1)
          ctx.applyToKeyedState(sum, (key, state) => {
            expectTypeOf(key).toEqualTypeOf<number>()
            expectTypeOf(state.value()).toEqualTypeOf<number | null>()
          })
          // @ts-expect-error a broadcast element has no key and no timers
          ctx.timerService.registerEventTimeTimer(1)
          out.collect(new Date(0))
        },
        onTimer(_time, ctx) {
          expectTypeOf(ctx.getBroadcastState(rules).get('r')).toEqualTypeOf<number | undefined>()
        },
      })
    expectTypeOf(out).toEqualTypeOf<DataStream<Date>>()
    expectTypeOf(a.broadcast()).toEqualTypeOf<DataStream<{ id: number }>>()
  }
  expect(check).toBeTypeOf('function')
})
