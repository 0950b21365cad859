import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type { DataStream, TaggedUnion } from '../../runtime/api/index.js'
import {
  CountEvictor,
  CountTrigger,
  EventTimeSessionWindows,
  PurgingTrigger,
  SlidingEventTimeWindows,
  Trigger,
  TriggerResult,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
} from '../../runtime/api/windowing/index.js'
import {
  AbstractRichFunction,
  type CoGroupFunction,
  type Collector,
  type RuntimeContext,
  type TimeWindow,
  WatermarkStrategy,
} from '../../runtime/core/index.js'
import type { WindowAssigner } from '../../runtime/operators/window/index.js'
import { expectFailure, outOf, runJob, sorted } from '../local/run-job.js'
import { type Ev, TwoInputDriver } from './two-input-driver.js'

type Stream = DataStream<Ev>
type Timed = Ev & { readonly ts: number }
const k = (e: Ev) => e.k
const elements: CoGroupFunction<Ev, Ev, unknown>['coGroup'] = (first, second, out) =>
  out.collect([(first[0] ?? second[0]).k, first.map((e) => e.v), second.map((e) => e.v)])

const grouped = (assigner: WindowAssigner<unknown, TimeWindow>) => (a: Stream, b: Stream) =>
  a.coGroup(b).where(k).equalTo(k).window(assigner).apply(elements)
const paired = (assigner: WindowAssigner<unknown, TimeWindow>) => (a: Stream, b: Stream) =>
  a
    .join(b)
    .where(k)
    .equalTo(k)
    .window(assigner)
    .apply((l, r) => [l.k, l.v, r.v])

describe('one window', () => {
  test('coGroup gives both sides in order of arrival, either may be empty; results have the end - 1', async () => {
    const driver = await TwoInputDriver.open(grouped(TumblingEventTimeWindows.of(10)))
    driver.element(0, { k: 'a', v: 1 }, 9).element(1, { k: 'a', v: 2 }, 0).element(0, { k: 'a', v: 3 }, 1).element(1, { k: 'b', v: 4 }, 5)
    driver.element(0, { k: 'c', v: 5 }, 10)
    driver.watermark(0, 9)
    expect(driver.taken()).toEqual([])
    driver.watermark(1, 9)
    expect(driver.taken()).toEqual([{ value: ['a', [1, 3], [2]], ts: 9 }, { value: ['b', [], [4]], ts: 9 }, { watermark: 9 }])
    expect(driver.stateEntries).toBe(1)
    driver.end(0).end(1)
    expect(driver.values()).toEqual([['c', [5], []]])
    expect(driver.stateEntries).toBe(0)
  })

  test('join gives each pair, first stream outermost, and nothing for a lonely side', async () => {
    const driver = await TwoInputDriver.open(paired(TumblingEventTimeWindows.of(10)))
    for (const v of [1, 2]) driver.element(1, { k: 'a', v: 10 * v }, v).element(0, { k: 'a', v }, v)
    driver.element(0, { k: 'b', v: 3 }, 0).watermarks(9)
    expect(driver.values()).toEqual([
      ['a', 1, 10],
      ['a', 1, 20],
      ['a', 2, 10],
      ['a', 2, 20],
    ])
  })

  test('late elements are dropped and counted; with lateness they fire the window again', async () => {
    const driver = await TwoInputDriver.open((a, b) =>
      a.coGroup(b).where(k).equalTo(k).window(TumblingEventTimeWindows.of(10)).allowedLateness(5).apply(elements),
    )
    driver.element(0, { k: 'a', v: 1 }, 5).watermarks(9).element(1, { k: 'a', v: 2 }, 3).watermarks(14).element(1, { k: 'a', v: 3 }, 4)
    expect(driver.values()).toEqual([
      ['a', [1], []],
      ['a', [1], [2]],
    ])
    expect(driver.late).toBe(1)
  })

  test('triggers and evictors see both sides', async () => {
    const driver = await TwoInputDriver.open((a, b) =>
      a
        .coGroup(b)
        .where(k)
        .equalTo(k)
        .window(TumblingEventTimeWindows.of(100))
        .trigger(PurgingTrigger.of(CountTrigger.of(4)))
        .evictor(CountEvictor.of(3))
        .apply(elements),
    )
    driver.element(0, { k: 'a', v: 1 }, 1).element(0, { k: 'a', v: 2 }, 1).element(1, { k: 'a', v: 3 }, 1).element(0, { k: 'a', v: 4 }, 1)
    expect(driver.values()).toEqual([['a', [2, 4], [3]]])
    driver.end(0).end(1)
    expect(driver.values()).toEqual([])
  })

  test('a trigger may look at the tagged element', async () => {
    class OnSecond extends Trigger<TaggedUnion<Ev, Ev>, TimeWindow> {
      override onElement(element: TaggedUnion<Ev, Ev>) {
        return element.input === 2 && element.value.v === 3 ? TriggerResult.FIRE : TriggerResult.CONTINUE
      }
      override onEventTime() {
        return TriggerResult.CONTINUE
      }
      override onProcessingTime() {
        return TriggerResult.CONTINUE
      }
      override clear() {}
    }
    const driver = await TwoInputDriver.open((a, b) =>
      a.coGroup(b).where(k).equalTo(k).window(TumblingEventTimeWindows.of(100)).trigger(new OnSecond()).apply(elements),
    )
    driver.element(0, { k: 'a', v: 1 }, 1).element(0, { k: 'a', v: 2 }, 1)
    expect(driver.values()).toEqual([])
    driver.element(1, { k: 'a', v: 3 }, 1)
    expect(driver.values()).toEqual([['a', [1, 2], [3]]])
  })

  test('sessions of both sides merge', async () => {
    const driver = await TwoInputDriver.open(grouped(EventTimeSessionWindows.withGap(10)))
    driver.element(0, { k: 'a', v: 1 }, 0).element(0, { k: 'a', v: 2 }, 18).element(1, { k: 'a', v: 3 }, 9).element(1, { k: 'a', v: 4 }, 40)
    driver.watermarks(1000)
    expect(driver.taken()).toEqual([{ value: ['a', [2, 1], [3]], ts: 27 }, { value: ['a', [], [4]], ts: 49 }, { watermark: 1000 }])
  })

  test('processing-time windows fire by the clock', async () => {
    const driver = await TwoInputDriver.open(paired(TumblingProcessingTimeWindows.of(10)))
    driver.element(0, { k: 'a', v: 1 }).processingTime(8).element(1, { k: 'a', v: 2 }).processingTime(10)
    expect(driver.taken()).toEqual([{ value: ['a', 1, 2], ts: 9 }])
  })

  test('contents and timers survive a restart, of plain windows, sessions and those with an evictor', async () => {
    const evicted = (a: Stream, b: Stream) =>
      a.coGroup(b).where(k).equalTo(k).window(TumblingEventTimeWindows.of(10)).evictor(CountEvictor.of(9)).apply(elements)
    for (const define of [grouped(TumblingEventTimeWindows.of(10)), grouped(EventTimeSessionWindows.withGap(5)), evicted]) {
      const first = await TwoInputDriver.open(define)
      first.element(0, { k: 'a', v: 1 }, 1).element(1, { k: 'a', v: 2 }, 2)
      const second = await first.restart()
      second.element(1, { k: 'a', v: 3 }, 3).watermarks(99)
      expect(second.values()).toEqual([['a', [1], [2, 3]]])
    }
  })
})

describe('functions', () => {
  const windows = (a: Stream, b: Stream) => a.join(b).where(k).equalTo(k).window(TumblingEventTimeWindows.of(10))
  const fire = (driver: TwoInputDriver) => driver.element(0, { k: 'a', v: 1 }, 1).element(1, { k: 'a', v: 2 }, 2).watermarks(9).values()

  test('join functions return one result or collect any number, as functions or objects', async () => {
    expect(fire(await TwoInputDriver.open((a, b) => windows(a, b).apply((l, r) => l.v + r.v)))).toEqual([3])
    expect(fire(await TwoInputDriver.open((a, b) => windows(a, b).apply({ join: (l, r) => l.v - r.v })))).toEqual([-1])
    const both = (l: Ev, r: Ev, out: Collector<number>) => {
      out.collect(l.v)
      out.collect(r.v)
    }
    expect(fire(await TwoInputDriver.open((a, b) => windows(a, b).apply(both)))).toEqual([1, 2])
    expect(fire(await TwoInputDriver.open((a, b) => windows(a, b).apply({ join: both })))).toEqual([1, 2])
  })

  test('rich functions are opened and closed, once a subtask', async () => {
    const calls: string[] = []
    class Rich extends AbstractRichFunction {
      override open(context: RuntimeContext) {
        calls.push(`open ${context.subtaskIndex}`)
      }
      join = (l: number, r: number) => l + r
      coGroup(l: readonly number[], r: readonly number[], out: Collector<number>) {
        out.collect(l.length + r.length)
      }
      override close() {
        calls.push('close')
      }
    }
    const define = (kind: 'join' | 'coGroup') =>
      runJob((env) => {
        const s = env
          .fromElements(1)
          .assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps<number>().withTimestampAssigner(() => 0))
        const one = () => 1
        if (kind === 'join') s.join(s).where(one).equalTo(one).window(TumblingEventTimeWindows.of(10)).apply(new Rich()).collect('out')
        else s.coGroup(s).where(one).equalTo(one).window(TumblingEventTimeWindows.of(10)).apply(new Rich()).collect('out')
      })
    for (const kind of ['join', 'coGroup'] as const) {
      expect((await define(kind)).collected.out).toEqual([2])
      expect(calls.splice(0)).toEqual(['open 0', 'close'])
    }
  })

  test('what they throw is said', async () => {
    const job = runJob((env) => {
      const s = env.fromElements(1).assignTimestampsAndWatermarks(WatermarkStrategy.forMonotonousTimestamps<number>().withTimestampAssigner(() => 0))
      s.join(s)
        .where(() => 1)
        .equalTo(() => 1)
        .window(TumblingEventTimeWindows.of(10))
        .apply((): number => {
          throw new Error('no pair')
        })
        .uid('j')
        .collect('out')
    })
    await expectFailure(job, 'USER_FUNCTION', 'no pair', 'uid j')
  })

  test('a record without a timestamp fails the job', async () => {
    const job = runJob((env) => {
      const s = env.fromElements<Ev>({ k: 'a', v: 1 })
      paired(TumblingEventTimeWindows.of(10))(s, s).collect('out')
    })
    await expectFailure(job, 'TIMESTAMP_MISSING')
  })

  test('what windows refuse is refused here too', async () => {
    await expect(
      (async () =>
        runJob((env) => {
          const s = env.fromElements<Ev>({ k: 'a', v: 1 })
          s.coGroup(s).where(k).equalTo(k).window(TumblingEventTimeWindows.of(10)).allowedLateness(-1).apply(elements).collect('out')
        }))(),
    ).rejects.toThrow(/OPTION_INVALID/)
  })
})

describe('against the definition', () => {
  const timed = fc.array(fc.record({ k: fc.constantFrom('a', 'b', 'c'), v: fc.nat(1000), ts: fc.integer({ min: 0, max: 300 }) }), { maxLength: 40 })
  const strategy = WatermarkStrategy.forBoundedOutOfOrderness<Timed>(300).withTimestampAssigner((e) => e.ts)

  const runBoth = (left: readonly Timed[], right: readonly Timed[], parallelism: number, assigner: WindowAssigner<unknown, TimeWindow>) =>
    runJob(
      (env) => {
        const a = env.fromCollection(left).assignTimestampsAndWatermarks(strategy)
        const b = env.fromCollection(right).assignTimestampsAndWatermarks(strategy)
        a.join(b)
          .where('k')
          .equalTo('k')
          .window(assigner)
          .apply((l, r) => [l.k, l.v, r.v])
          .collect('pairs')
        a.coGroup(b)
          .where('k')
          .equalTo('k')
          .window(assigner)
          .apply((l, r, out: Collector<unknown>) => out.collect([(l[0] ?? r[0]).k, l.map((e) => e.v).sort(), r.map((e) => e.v).sort()]))
          .collect('groups')
      },
      { parallelism },
    )

  test('tumbling and sliding windows at parallelism 1 to 3', async () => {
    await fc.assert(
      fc.asyncProperty(
        timed,
        timed,
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom([50, 50], [60, 20]),
        async (left, right, parallelism, [size, slide]) => {
          const pairs: unknown[] = []
          const groups: unknown[] = []
          for (let start = slide - size; start <= 300; start += slide) {
            const inside = (e: Timed) => e.ts >= start && e.ts < start + size
            for (const key of ['a', 'b', 'c']) {
              const l = left.filter((e) => inside(e) && e.k === key)
              const r = right.filter((e) => inside(e) && e.k === key)
              pairs.push(...l.flatMap((x) => r.map((y) => [key, x.v, y.v])))
              if (l.length + r.length > 0) groups.push([key, l.map((e) => e.v).sort(), r.map((e) => e.v).sort()])
            }
          }
          const { collected } = await runBoth(left, right, parallelism, SlidingEventTimeWindows.of(size, slide))
          expect(sorted(collected.pairs ?? [])).toEqual(sorted(pairs))
          expect(sorted(collected.groups ?? [])).toEqual(sorted(groups))
        },
      ),
      { numRuns: 25 },
    )
  })

  test('sessions at parallelism 1 to 3', async () => {
    await fc.assert(
      fc.asyncProperty(timed, timed, fc.integer({ min: 1, max: 3 }), async (left, right, parallelism) => {
        const gap = 12
        const expected: unknown[] = []
        for (const key of ['a', 'b', 'c']) {
          const all = [...left.map((e) => ({ ...e, side: 0 })), ...right.map((e) => ({ ...e, side: 1 }))].filter((e) => e.k === key)
          all.sort((x, y) => x.ts - y.ts)
          let session: typeof all = []
          const close = () => {
            const of = (side: number) => session.flatMap((e) => (e.side === side ? [e.v] : [])).sort()
            if (session.length > 0) expected.push([key, of(0), of(1)])
            session = []
          }
          for (const e of all) {
            if (session.length > 0 && e.ts - session[session.length - 1].ts > gap) close()
            session.push(e)
          }
          close()
        }
        const { collected } = await runBoth(left, right, parallelism, EventTimeSessionWindows.withGap(gap))
        expect(sorted(collected.groups ?? [])).toEqual(sorted(expected))
      }),
      { numRuns: 25 },
    )
  })

  test('the plan has one stage with two keyed inputs', async () => {
    const out = await outOf((env) => {
      const s = env.fromElements<Timed>({ k: 'a', v: 1, ts: 0 }).assignTimestampsAndWatermarks(strategy)
      paired(TumblingEventTimeWindows.of(10))(
        s.map((e): Ev => e),
        s.map((e): Ev => e),
      ).collect('out')
    })
    expect(out).toEqual([['a', 1, 1]])
  })
})

test('types follow without annotation', () => {
  const check = (a: DataStream<{ id: number; name: string }>, b: DataStream<{ owner: number; price: bigint }>) => {
    const keyed = a.join(b).where('id').equalTo('owner').window(TumblingEventTimeWindows.of(1))
    expectTypeOf(keyed.apply((x, y) => [x.name, y.price] as const)).toEqualTypeOf<DataStream<readonly [string, bigint]>>()
    expectTypeOf(keyed.apply((x, y, out: Collector<Date>) => out.collect(new Date(x.id + y.owner)))).toEqualTypeOf<DataStream<Date>>()
    expectTypeOf(
      a
        .coGroup(b)
        .where((x) => x.id)
        .equalTo((y) => y.owner)
        .window(EventTimeSessionWindows.withGap(1))
        .apply((xs, ys, out: Collector<number>) => {
          expectTypeOf(xs[0].name).toEqualTypeOf<string>()
          expectTypeOf(ys[0].price).toEqualTypeOf<bigint>()
          out.collect(xs.length + ys.length)
        }),
    ).toEqualTypeOf<DataStream<number>>()
    const where = a.join(b).where('id')
    // @ts-expect-error keys of different types never meet
    where.equalTo((y) => y.price)
    // @ts-expect-error keys of different types never meet
    where.equalTo('price')
  }
  expect(check).toBeTypeOf('function')
})
