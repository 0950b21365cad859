import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type { DataStream } from '../../runtime/api/index.js'
import { type Collector, OutputTag, WatermarkStrategy } from '../../runtime/core/index.js'
import { expectFailure, outOf, runJob, sorted } from '../local/run-job.js'
import { type Ev, TwoInputDriver } from './two-input-driver.js'

interface Bounds {
  readonly lower: number
  readonly upper: number
  readonly lowerExclusive?: boolean
  readonly upperExclusive?: boolean
}

const lateLeft = new OutputTag<Ev>('late-left')
const lateRight = new OutputTag<Ev>('late-right')
const sides = [lateLeft.id, lateRight.id]
const pair = {
  processElement(l: Ev, r: Ev, ctx: { leftTimestamp: number; rightTimestamp: number; timestamp: number }, out: Collector<unknown>) {
    out.collect([l.k, l.v, r.v, ctx.leftTimestamp, ctx.rightTimestamp, ctx.timestamp])
  },
}

const joined =
  ({ lower, upper, lowerExclusive, upperExclusive }: Bounds, late = true) =>
  (a: DataStream<Ev>, b: DataStream<Ev>) => {
    let join = a
      .keyBy((e) => e.k)
      .intervalJoin(b.keyBy((e) => e.k))
      .between(lower, upper)
    if (lowerExclusive) join = join.lowerBoundExclusive()
    if (upperExclusive) join = join.upperBoundExclusive()
    if (late) join = join.sideOutputLeftLateData(lateLeft).sideOutputRightLateData(lateRight)
    return join.process(pair)
  }

type Step =
  | { readonly kind: 'element'; readonly input: number; readonly el: Ev; readonly ts: number }
  | { readonly kind: 'watermark'; readonly wm: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('element' as const),
      input: fc.constantFrom(0, 1),
      el: fc.record({ k: fc.constantFrom('a', 'b'), v: fc.nat(99) }),
      ts: fc.integer({ min: -10, max: 30 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('watermark' as const), wm: fc.integer({ min: -10, max: 40 }) }) },
)
const bounds = fc
  .record({ lower: fc.integer({ min: -8, max: 8 }), width: fc.nat(8), lowerExclusive: fc.boolean(), upperExclusive: fc.boolean() })
  .map(({ lower, width, ...rest }): Bounds => ({ lower, upper: lower + width, ...rest }))

interface Kept {
  readonly el: Ev
  readonly ts: number
}

/** The definition, with lists: what is late, what pairs, and from when on an element is forgotten. */
class NaiveJoin {
  readonly results: unknown[] = []
  readonly late: unknown[] = []
  readonly kept: [Kept[], Kept[]] = [[], []]
  #watermark = Number.NEGATIVE_INFINITY

  constructor(readonly bounds: Bounds) {}

  #within(difference: number): boolean {
    const { lower, upper, lowerExclusive, upperExclusive } = this.bounds
    return (lowerExclusive ? difference > lower : difference >= lower) && (upperExclusive ? difference < upper : difference <= upper)
  }

  element(input: number, el: Ev, ts: number): void {
    if (ts < this.#watermark) {
      this.late.push([input, el.v, ts])
      return
    }
    this.kept[input].push({ el, ts })
    for (const other of this.kept[1 - input]) {
      const [l, r] = input === 0 ? [{ el, ts }, other] : [other, { el, ts }]
      if (l.el.k === r.el.k && this.#within(r.ts - l.ts)) this.results.push([l.el.k, l.el.v, r.el.v, l.ts, r.ts, Math.max(l.ts, r.ts)])
    }
  }

  watermark(wm: number): void {
    if (wm <= this.#watermark) return
    this.#watermark = wm
    const { lower, upper, lowerExclusive, upperExclusive } = this.bounds
    const reach = [upperExclusive ? upper - 1 : upper, -(lowerExclusive ? lower + 1 : lower)]
    for (const input of [0, 1]) this.kept[input] = this.kept[input].filter(({ ts }) => ts + Math.max(0, reach[input]) > wm)
  }
}

describe('against the definition', () => {
  test('pairs, late elements and what is kept, in any order of elements and watermarks', async () => {
    await fc.assert(
      fc.asyncProperty(bounds, fc.array(step, { maxLength: 60 }), async (within, steps) => {
        const naive = new NaiveJoin(within)
        const driver = await TwoInputDriver.open(joined(within), sides)
        for (const s of steps) {
          if (s.kind === 'watermark') {
            naive.watermark(s.wm)
            driver.watermarks(s.wm)
          } else {
            naive.element(s.input, s.el, s.ts)
            driver.element(s.input, s.el, s.ts)
          }
        }
        const items = driver.taken()
        const late = items.flatMap((item) => ('side' in item ? [[item.side === 'late-left' ? 0 : 1, (item.value as Ev).v, item.ts]] : []))
        const results = items.flatMap((item) => ('value' in item && !('side' in item) ? [item] : []))
        expect(late).toEqual(naive.late)
        expect(sorted(results.map(({ value }) => value))).toEqual(sorted(naive.results))
        for (const { value, ts } of results) expect(ts).toBe((value as number[])[5])
        const keys = naive.kept.map((list) => new Set(list.map(({ el }) => el.k)).size)
        expect(driver.stateEntries).toBe(keys[0] + keys[1])
        driver.end(0).end(1)
        expect(driver.stateEntries).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  test('a restart anywhere changes nothing but what is late', async () => {
    await fc.assert(
      fc.asyncProperty(bounds, fc.array(step, { maxLength: 30 }), fc.nat(30), async (within, steps, at) => {
        const elements = steps.filter((s) => s.kind === 'element')
        const naive = new NaiveJoin(within)
        let driver = await TwoInputDriver.open(joined(within), sides)
        const results: unknown[] = []
        for (const [i, { input, el, ts }] of elements.entries()) {
          if (i === at) {
            results.push(...driver.values())
            driver = await driver.restart(sides)
          }
          naive.element(input, el, ts)
          driver.element(input, el, ts)
        }
        results.push(...driver.values())
        expect(sorted(results)).toEqual(sorted(naive.results))
        driver.end(0).end(1)
        expect(driver.stateEntries).toBe(0)
      }),
      { numRuns: 100 },
    )
  })
})

describe('to the letter', () => {
  test('an element at the watermark is not late, yet its partner may be gone', async () => {
    const driver = await TwoInputDriver.open(joined({ lower: -5, upper: 0 }), sides)
    driver.element(0, { k: 'a', v: 1 }, 10).watermarks(10).taken()
    driver.element(1, { k: 'a', v: 2 }, 10).element(1, { k: 'a', v: 3 }, 9)
    expect(driver.taken()).toEqual([{ side: 'late-right', value: { k: 'a', v: 3 }, ts: 9 }])
  })

  test('late elements without a side output are dropped and counted', async () => {
    const driver = await TwoInputDriver.open(joined({ lower: -5, upper: 5 }, false))
    driver.watermarks(10).element(0, { k: 'a', v: 1 }, 9).element(1, { k: 'a', v: 1 }, 9)
    expect(driver.late).toBe(2)
    expect(driver.stateEntries).toBe(0)
  })

  test('lateness follows the lesser of the two watermarks', async () => {
    const driver = await TwoInputDriver.open(joined({ lower: -5, upper: 5 }), sides)
    driver.watermark(0, 100).watermark(1, 10).taken()
    driver.element(0, { k: 'a', v: 1 }, 12).element(1, { k: 'a', v: 2 }, 11)
    expect(driver.taken()).toEqual([{ value: ['a', 1, 2, 12, 11, 12], ts: 12 }])
  })

  test('the context has side outputs with the timestamp of the pair', async () => {
    const tag = new OutputTag<string>('pairs')
    const driver = await TwoInputDriver.open(
      (a, b) =>
        a
          .keyBy((e) => e.k)
          .intervalJoin(b.keyBy((e) => e.k))
          .between(-9, 9)
          .process({ processElement: (l, r, ctx) => ctx.output(tag, `${l.v}-${r.v}`) }),
      ['pairs'],
    )
    driver.element(0, { k: 'a', v: 1 }, 3).element(1, { k: 'a', v: 2 }, 1)
    expect(driver.taken()).toEqual([{ side: 'pairs', value: '1-2', ts: 3 }])
  })

  test('bounds must be whole and in order', async () => {
    for (const [lower, upper] of [
      [1, 0],
      [0.5, 1],
      [0, Number.POSITIVE_INFINITY],
      [Number.NaN, 1],
    ]) {
      await expect(TwoInputDriver.open(joined({ lower, upper }))).rejects.toThrow(/OPTION_INVALID(.|\n)*what to do/)
    }
  })

  test('a record without a timestamp fails the job', async () => {
    const job = runJob((env) => {
      const s = env.fromElements<Ev>({ k: 'a', v: 1 })
      joined({ lower: 0, upper: 1 })(s, s).uid('ij').collect('out')
    })
    await expectFailure(job, 'TIMESTAMP_MISSING', 'uid ij', 'assignTimestampsAndWatermarks')
  })
})

describe('in a whole job', () => {
  for (const parallelism of [1, 2, 3]) {
    test(`all pairs are there at parallelism ${parallelism}`, async () => {
      const random = mulberry(parallelism)
      const events = (n: number) =>
        Array.from({ length: n }, (_, v) => ({ k: `k${Math.floor(random() * 20)}`, v, ts: v * 10 + Math.floor(random() * 50) }))
      const left = events(600)
      const right = events(800)
      const expected = left.flatMap((l) =>
        right.filter((r) => r.k === l.k && r.ts - l.ts >= -100 && r.ts - l.ts < 200).map((r) => [l.k, l.v, r.v, l.ts, r.ts, Math.max(l.ts, r.ts)]),
      )
      const strategy = WatermarkStrategy.forBoundedOutOfOrderness<Ev & { ts: number }>(50).withTimestampAssigner((e) => e.ts)
      const out = await outOf(
        (env) => {
          const a = env.fromCollection(left).assignTimestampsAndWatermarks(strategy).setParallelism(1)
          const b = env.fromCollection(right).assignTimestampsAndWatermarks(strategy).setParallelism(1)
          joined({ lower: -100, upper: 200, upperExclusive: true })(a as never, b as never).collect('out')
        },
        { parallelism, autoWatermarkIntervalMs: 1 },
      )
      expect(expected.length).toBeGreaterThan(300)
      expect(sorted(out)).toEqual(sorted(expected))
    })
  }
})

test('types follow without annotation', () => {
  const check = (a: DataStream<{ id: string; n: number }>, b: DataStream<{ owner: string; d: Date }>) => {
    const join = a.keyBy('id').intervalJoin(b.keyBy('owner')).between(0, 1)
    const result = join.process({
      processElement(l, r, ctx, out: Collector<[number, Date]>) {
        expectTypeOf(ctx.leftTimestamp).toEqualTypeOf<number>()
        out.collect([l.n, r.d])
      },
    })
    expectTypeOf(result).toEqualTypeOf<DataStream<[number, Date]>>()
    // @ts-expect-error keys of different types never meet
    a.keyBy('n').intervalJoin(b.keyBy('owner'))
    // @ts-expect-error the tag is for the other side
    join.sideOutputLeftLateData(new OutputTag<{ owner: string; d: Date }>('x'))
  }
  expect(check).toBeTypeOf('function')
})

function mulberry(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
