import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ContinuousEventTimeTrigger,
  CountEvictor,
  EventTimeSessionWindows,
  SlidingEventTimeWindows,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
} from '../../runtime/api/windowing/index.js'
import { type Collector, MapStateDescriptor, type OnTimerContext, type ProcessContext, valueState } from '../../runtime/core/index.js'
import { type Ev, type Item, TwoInputDriver } from '../two-input/two-input-driver.js'

type Define = Parameters<typeof TwoInputDriver.open>[0]
type TimerContext = Pick<OnTimerContext<string>, 'timerService' | 'currentKey' | 'timeDomain'>

const k = (e: Ev) => e.k
const state = { fired: valueState<number>() }

/** Registers two timers of each kind, some for times that are past. */
function register(e: Ev, ctx: Pick<ProcessContext, 'timerService' | 'timestamp'>): void {
  const timers = ctx.timerService
  timers.registerEventTimeTimer((ctx.timestamp ?? 0) + e.v)
  timers.registerEventTimeTimer((ctx.timestamp ?? 0) + 2 * e.v)
  timers.registerProcessingTimeTimer(10 * e.v)
  timers.registerProcessingTimeTimer(timers.currentProcessingTime() + e.v)
}

/** Says what it sees; then registers a timer at this very time, an earlier or a later one, or deletes one, a few times for each key. */
function fire(time: number, ctx: TimerContext, fired: { value(): number | null; update(n: number): void }, out: Collector<string>): void {
  const timers = ctx.timerService
  const n = fired.value() ?? 0
  fired.update(n + 1)
  out.collect(`${ctx.currentKey} ${ctx.timeDomain} ${time} at ${timers.currentWatermark()}, number ${n}`)
  if (n > 40) return
  const isEventTime = ctx.timeDomain === 'event-time'
  const other = time + [0, -3, 2, 50][n % 4]
  if (isEventTime) timers.registerEventTimeTimer(other)
  else timers.registerProcessingTimeTimer(other)
  if (n % 3 !== 1) return
  if (isEventTime) timers.deleteEventTimeTimer(time + 1)
  else timers.deleteProcessingTimeTimer(time + 1)
}

const timers = {
  state,
  onTimer(time: number, ctx: OnTimerContext<string, typeof state>, out: Collector<string>) {
    fire(time, ctx, ctx.state.fired, out)
  },
}

const sum = (l: Ev, r: Ev): Ev => ({ k: l.k, v: l.v + r.v })
const ofElements = {
  process: (key: string, { window }: { window: { maxTimestamp: number } }, es: Iterable<Ev>, out: Collector<unknown>) =>
    out.collect([key, window.maxTimestamp, [...es].map(({ v }) => v)]),
}

const OPERATORS: Record<string, Define> = {
  'a keyed process function': (a) => a.keyBy(k).process({ ...timers, processElement: register }),
  'a keyed process function of two inputs': (a, b) =>
    a
      .connect(b)
      .keyBy(k, k)
      .process({ ...timers, processElement1: register, processElement2: register }),
  'a keyed process function beside a broadcast stream': (a, b) =>
    a
      .keyBy(k)
      .connect(b.broadcast(new MapStateDescriptor<string, number>('rules')))
      .process({ ...timers, processElement: register, processBroadcastElement: () => {} }),
  'windows with implied timers': (a) => a.keyBy(k).window(TumblingEventTimeWindows.of(5)).reduce(sum),
  'sliding windows with implied timers': (a) => a.keyBy(k).window(SlidingEventTimeWindows.of(20, 5)).process(ofElements),
  'windows with lateness': (a) => a.keyBy(k).window(TumblingEventTimeWindows.of(5)).allowedLateness(10).reduce(sum),
  'windows whose trigger registers timers': (a) =>
    a.keyBy(k).window(TumblingEventTimeWindows.of(40)).trigger(ContinuousEventTimeTrigger.of(3)).reduce(sum),
  'windows with an evictor': (a) => a.keyBy(k).window(TumblingEventTimeWindows.of(10)).evictor(CountEvictor.of(2)).process(ofElements),
  'windows of processing time': (a) => a.keyBy(k).window(TumblingProcessingTimeWindows.of(10)).reduce(sum),
  'session windows': (a) => a.keyBy(k).window(EventTimeSessionWindows.withGap(4)).reduce(sum),
  'windows of two inputs': (a, b) =>
    a
      .coGroup(b)
      .where(k)
      .equalTo(k)
      .window(TumblingEventTimeWindows.of(5))
      .apply((first, second, out) => out.collect([first.map((e) => e.v), second.map((e) => e.v)])),
  'an interval join': (a, b) =>
    a
      .keyBy(k)
      .intervalJoin(b.keyBy(k))
      .between(-4, 6)
      .process({ processElement: (l, r, _ctx, out: Collector<unknown>) => out.collect([l.k, l.v, r.v]) }),
}
const TWO_INPUTS = /two inputs|beside|join/

const steps = fc.array(
  fc.oneof(
    { weight: 14, arbitrary: fc.record({ input: fc.nat(1), k: fc.constantFrom('a', 'b', 'c', 'd'), v: fc.nat(9), ts: fc.nat(60) }) },
    { weight: 2, arbitrary: fc.record({ input: fc.nat(1), watermark: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ input: fc.nat(1), idle: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ processingTime: fc.nat(200) }) },
  ),
  { minLength: 10, maxLength: 60, size: 'max' },
)
type Step = typeof steps extends fc.Arbitrary<(infer S)[]> ? S : never

/** The script as the operator may get it: watermarks and the clock rise, and an input that is idle sends nothing. */
function sendable(script: readonly Step[], inputs: number): Step[] {
  const watermarks = [-1, -1]
  const idle = [false, false]
  let now = 0
  return script.flatMap((step): Step[] => {
    if ('processingTime' in step) {
      now += step.processingTime
      return [{ processingTime: now }]
    }
    const input = step.input % inputs
    if ('idle' in step) {
      if (idle[input] === step.idle) return []
      idle[input] = step.idle
    } else if (idle[input]) return []
    if ('watermark' in step) {
      if (step.watermark <= watermarks[input]) return []
      watermarks[input] = step.watermark
    }
    return [{ ...step, input }]
  })
}

function send(driver: TwoInputDriver, step: Step): void {
  if ('processingTime' in step) driver.processingTime(step.processingTime)
  else if ('watermark' in step) driver.watermark(step.input, step.watermark)
  else if ('idle' in step) driver.status(step.input, step.idle)
  else driver.element(step.input, { k: step.k, v: step.v }, step.ts)
}

/** More than any script takes. */
const MAX_PARTS = 2_000

interface Run {
  /** What came out after each step. */
  readonly items: Item[][]
  /** Rows of state left after each step. */
  readonly entries: number[]
  readonly parts: number
}

const whole = async (define: Define, script: readonly Step[]): Promise<Run> => {
  const driver = await TwoInputDriver.open(define)
  const entries: number[] = []
  const items = script.map((step) => {
    send(driver, step)
    expect(driver.sweepPending).toBe(false)
    entries.push(driver.stateEntries)
    return driver.taken()
  })
  return { items, entries, parts: script.length }
}

/** Each step with a budget that is given anew until its sweep has finished; it goes on by the same watermark again, or by `resumeSweep`. */
const inParts = async (define: Define, script: readonly Step[], budget: number, sameAgain: boolean): Promise<Run> => {
  const driver = await TwoInputDriver.open(define)
  let parts = 0
  const entries: number[] = []
  const items = script.map((step) => {
    driver.sweepBudget(budget)
    send(driver, step)
    const all = driver.taken()
    for (parts++; driver.sweepPending; parts++) {
      if (parts > MAX_PARTS) throw new Error('the sweep does not come to its end')
      if ('watermark' in step) expect(all.filter((item) => !('value' in item))).toEqual([])
      driver.sweepBudget(budget)
      if ('watermark' in step && sameAgain) send(driver, step)
      else driver.resumeSweep()
      const more = driver.taken()
      expect(more.filter((item) => 'value' in item).length).toBeLessThanOrEqual(3 * budget)
      all.push(...more)
    }
    entries.push(driver.stateEntries)
    return all
  })
  return { items, entries, parts }
}

/** As `inParts`, but each part is done by another instance, from a snapshot of the one before, which is told where its watermarks were. */
const restartedBetweenParts = async (define: Define, script: readonly Step[], budget: number): Promise<Run> => {
  let driver = await TwoInputDriver.open(define)
  let parts = 0
  const done: Step[] = []
  const items: Item[][] = []
  const entries: number[] = []
  for (const step of script) {
    driver.sweepBudget(budget)
    send(driver, step)
    const all = driver.taken()
    for (parts++; driver.sweepPending; parts++) {
      if (parts > MAX_PARTS) throw new Error('the sweep does not come to its end')
      driver = await driver.restart()
      driver.timersSuspended(true)
      for (const before of done) {
        if ('processingTime' in before) driver.clock(before.processingTime)
        else if (!('k' in before)) send(driver, before)
      }
      expect(driver.taken().filter((item) => 'value' in item)).toEqual([])
      driver.timersSuspended(false).sweepBudget(budget)
      send(driver, step)
      all.push(...driver.taken())
    }
    done.push(step)
    items.push(all)
    entries.push(driver.stateEntries)
  }
  return { items, entries, parts }
}

/** Timers of one time fire in any order after a restore, as keys come in any order. */
const sorted = ({ items, entries }: Run): unknown[] => items.map((step, at) => [entries[at], ...step.map((item) => JSON.stringify(item)).sort()])

test('what the clock makes due while timers are suspended fires when it is resumed', async () => {
  const driver = await TwoInputDriver.open(OPERATORS['a keyed process function'])
  driver.element(0, { k: 'a', v: 3 }, 0)
  driver.timersSuspended(true).processingTime(1_000)
  expect(driver.taken()).toEqual([])
  expect(driver.sweepPending).toBe(true)
  driver.timersSuspended(false).resumeSweep()
  expect(driver.values()[0]).toMatch(/^a processing-time 3 /)
  expect(driver.sweepPending).toBe(false)
})

test('a status waits for the watermark that came before it', async () => {
  const driver = await TwoInputDriver.open(OPERATORS['windows of two inputs'])
  for (const key of ['a', 'b']) driver.element(0, { k: key, v: 1 }, 1)
  driver.watermark(0, 9).sweepBudget(1).status(0, true).status(1, true)
  expect(driver.taken()).toEqual([{ value: [[1], []], ts: 4 }])
  driver.sweepBudget(1).resumeSweep()
  expect(driver.taken()).toEqual([{ value: [[1], []], ts: 4 }, { watermark: 9 }, { idle: true }])
})

describe.each(Object.entries(OPERATORS))('%s', (name, define) => {
  const inputs = TWO_INPUTS.test(name) ? 2 : 1

  test('a sweep in parts gives what a whole one gives, in the same order', async () => {
    let sweptInParts = 0
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(1, 2, 7), fc.boolean(), async (script, budget, sameAgain) => {
        const sent = sendable(script, inputs)
        const run = await inParts(define, sent, budget, sameAgain)
        const { items, entries } = await whole(define, sent)
        expect(run).toEqual({ items, entries, parts: run.parts })
        sweptInParts += run.parts - sent.length
      }),
      { numRuns: 60 },
    )
    expect(sweptInParts).toBeGreaterThan(10)
  })

  test('while timers are suspended a watermark passes without firing; the next one fires', async () => {
    const driver = await TwoInputDriver.open(define)
    for (let input = 0; input < inputs; input++) driver.element(input, { k: 'a', v: 3 }, 1)
    driver.taken()
    const entries = driver.stateEntries
    const advance = (watermark: number) => {
      for (let input = 0; input < inputs; input++) driver.watermark(input, watermark)
    }
    driver.timersSuspended(true)
    advance(100)
    expect(driver.taken()).toEqual([{ watermark: 100 }])
    expect([driver.sweepPending, driver.stateEntries]).toEqual([false, entries])
    driver.timersSuspended(false)
    advance(101)
    const fired = driver.taken()
    expect(fired.at(-1)).toEqual({ watermark: 101 })
    if (name.includes('processing time')) return
    if (name === 'an interval join') expect(driver.stateEntries).toBe(0)
    else expect(fired.length).toBeGreaterThan(1)
  })

  test('also when another instance goes on after each part', async () => {
    let sweptInParts = 0
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(1, 2, 7), async (script, budget) => {
        const sent = sendable(script, inputs)
        const run = await restartedBetweenParts(define, sent, budget)
        expect(sorted(run)).toEqual(sorted(await whole(define, sent)))
        sweptInParts += run.parts - sent.length
      }),
      { numRuns: 30 },
    )
    expect(sweptInParts).toBeGreaterThan(10)
  })
})
