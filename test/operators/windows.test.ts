import { describe, expect, test } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import {
  CountEvictor,
  CountTrigger,
  EventTimeSessionWindows,
  GlobalWindows,
  PurgingTrigger,
  SlidingEventTimeWindows,
  Trigger,
  TriggerResult,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
} from '../../runtime/api/windowing/index.js'
import { collectionSource } from '../../runtime/connectors/index.js'
import {
  type Collector,
  OutputTag,
  type ProcessWindowFunction,
  type TimeWindow,
  ValueStateDescriptor,
  type WatermarkGenerator,
  WatermarkStrategy,
} from '../../runtime/core/index.js'
import { outOf, runJob, sorted } from '../local/run-job.js'

interface Click {
  readonly user: string
  readonly t: number
  readonly n: number
}

/** Deterministic, out of order by at most 40 ms. */
const CLICKS: readonly Click[] = Array.from({ length: 400 }, (_, i) => ({ user: `u${(i * i) % 7}`, t: i * 10 - ((i * 37) % 40), n: (i * 13) % 101 }))

/** Watermarks with every record, so that results do not depend on the clock. */
class Punctuated implements WatermarkGenerator<unknown> {
  #max = Number.NEGATIVE_INFINITY
  constructor(readonly delayMs: number) {}
  onEvent(_event: unknown, timestamp: number, output: { emitWatermark(timestamp: number): void }): void {
    this.#max = Math.max(this.#max, timestamp)
    output.emitWatermark(this.#max - this.delayMs - 1)
  }
  onPeriodicEmit(): void {}
}

function clicks(env: StreamExecutionEnvironment, items: readonly Click[] = CLICKS, delayMs = 40) {
  const strategy = WatermarkStrategy.forGenerator<Click>(() => new Punctuated(delayMs))
  return env.fromSource(collectionSource(items, { timestamps: (click) => click.t }), strategy)
}

/** key, start, end, numbers of the elements. */
const everything: ProcessWindowFunction<Click, unknown, string, TimeWindow> = {
  process(user, { window }, elements, out) {
    out.collect([user, window.start, window.end, [...elements].map(({ n }) => n).sort((a, b) => a - b)])
  },
}

function grouped(items: readonly Click[], windowsOf: (t: number) => readonly (readonly [number, number])[]): unknown[] {
  const groups = new Map<string, [string, number, number, number[]]>()
  for (const { user, t, n } of items) {
    for (const [start, end] of windowsOf(t)) {
      const id = `${user} ${start} ${end}`
      const group = groups.get(id) ?? [user, start, end, []]
      group[3].push(n)
      groups.set(id, group)
    }
  }
  for (const group of groups.values()) group[3].sort((a, b) => a - b)
  return [...groups.values()]
}

const tumblingOf =
  (size: number, offset = 0) =>
  (t: number) => {
    const start = Math.floor((t - offset) / size) * size + offset
    return [[start, start + size]] as const
  }

describe.each([1, 2, 4])('windows at parallelism %i against a naive computation', (parallelism) => {
  const run = (define: (env: StreamExecutionEnvironment) => void) => outOf(define, { parallelism }).then(sorted)

  test('tumbling, with and without offset', async () => {
    for (const offset of [0, 30]) {
      const out = run((env) => clicks(env).keyBy('user').window(TumblingEventTimeWindows.of(100, offset)).process(everything).collect('out'))
      expect(await out).toEqual(sorted(grouped(CLICKS, tumblingOf(100, offset))))
    }
  })

  test('sliding', async () => {
    const out = run((env) => clicks(env).keyBy('user').window(SlidingEventTimeWindows.of(200, 50)).process(everything).collect('out'))
    const windowsOf = (t: number) => [0, 1, 2, 3].map((i) => Math.floor(t / 50) * 50 - i * 50).map((start) => [start, start + 200] as const)
    expect(await out).toEqual(sorted(grouped(CLICKS, windowsOf)))
  })

  test('sessions', async () => {
    const gap = 65
    const out = run((env) => clicks(env).keyBy('user').window(EventTimeSessionWindows.withGap(gap)).process(everything).collect('out'))
    const sessions: unknown[] = []
    for (const user of new Set(CLICKS.map((click) => click.user))) {
      let open: [string, number, number, number[]] | undefined
      for (const { t, n } of CLICKS.filter((click) => click.user === user).sort((a, b) => a.t - b.t)) {
        if (open !== undefined && t <= open[2]) {
          open[2] = Math.max(open[2], t + gap)
          open[3].push(n)
        } else {
          open = [user, t, t + gap, [n]]
          sessions.push(open)
        }
      }
    }
    for (const session of sessions as [string, number, number, number[]][]) session[3].sort((a, b) => a - b)
    expect(sessions.length).toBeGreaterThan(20)
    expect(await out).toEqual(sorted(sessions))
  })

  test('reduce and aggregate, with and without a window function, and the short forms, agree with process', async () => {
    const { collected } = await runJob(
      (env) => {
        const windows = clicks(env).keyBy('user').window(TumblingEventTimeWindows.of(100))
        const sum = {
          createAccumulator: () => ({ sum: 0 }),
          add: ({ n }: Click, { sum }: { sum: number }) => ({ sum: sum + n }),
          getResult: ({ sum }: { sum: number }) => sum,
        }
        const add = (a: Click, b: Click): Click => ({ ...a, n: a.n + b.n })
        windows
          .process({
            process: (user, { window }, elements, out: Collector<unknown>) =>
              out.collect([user, window.start, [...elements].reduce((s, { n }) => s + n, 0)]),
          })
          .collect('process')
        windows
          .reduce(add, { process: (user, { window }, [{ n }], out: Collector<unknown>) => out.collect([user, window.start, n]) })
          .collect('reduce')
        windows
          .aggregate(sum, { process: (user, { window }, [n], out: Collector<unknown>) => out.collect([user, window.start, n]) })
          .collect('aggregate')
        windows
          .reduce(add)
          .map((click) => click.n)
          .collect('plainReduce')
        windows.aggregate(sum).collect('plainAggregate')
        windows
          .sum('n')
          .map((click) => click.n)
          .collect('sum')
        windows
          .max('n')
          .map((click) => click.n)
          .collect('max')
        windows
          .minBy('n')
          .map((click) => click.n)
          .collect('minBy')
      },
      { parallelism },
    )
    const groups = grouped(CLICKS, tumblingOf(100)) as [string, number, number, number[]][]
    const total = ([, , , ns]: [string, number, number, number[]]) => ns.reduce((a, b) => a + b)
    const whole = sorted(groups.map((group) => [group[0], group[1], total(group)]))
    for (const name of ['process', 'reduce', 'aggregate']) expect(sorted(collected[name])).toEqual(whole)
    for (const name of ['plainReduce', 'plainAggregate', 'sum']) expect(sorted(collected[name])).toEqual(sorted(groups.map(total)))
    expect(sorted(collected.max)).toEqual(sorted(groups.map(([, , , ns]) => Math.max(...ns))))
    expect(sorted(collected.minBy)).toEqual(sorted(groups.map(([, , , ns]) => Math.min(...ns))))
  })

  test('count windows fire when full; what is left over never does', async () => {
    const out = run((env) =>
      clicks(env)
        .keyBy('user')
        .countWindow(10)
        .process({ process: (user, _ctx, all, out: Collector<unknown>) => out.collect([user, [...all].length]) })
        .collect('out'),
    )
    const counts = new Map<string, number>()
    for (const { user } of CLICKS) counts.set(user, (counts.get(user) ?? 0) + 1)
    expect(await out).toEqual(sorted([...counts].flatMap(([user, n]) => Array.from({ length: Math.floor(n / 10) }, () => [user, 10]))))
  })

  test('windowAll sees the whole stream, in one subtask', async () => {
    const out = run((env) =>
      clicks(env)
        .windowAll(TumblingEventTimeWindows.of(1_000))
        .process({ process: ({ window }, all, out: Collector<unknown>) => out.collect([window.start, [...all].length]) })
        .collect('out'),
    )
    const counts = new Map<number, number>()
    for (const { t } of CLICKS) counts.set(Math.floor(t / 1_000) * 1_000, (counts.get(Math.floor(t / 1_000) * 1_000) ?? 0) + 1)
    expect(await out).toEqual(sorted([...counts]))
  })
})

describe('count windows', () => {
  test('that slide give the last elements', async () => {
    const out = await outOf((env) => {
      env
        .fromElements(1, 2, 3, 4, 5, 6, 7)
        .keyBy(() => 'k')
        .countWindow(3, 2)
        .process({ process: (_key, _ctx, all, out: Collector<unknown>) => out.collect([...all]) })
        .collect('out')
    })
    expect(out).toEqual([
      [1, 2],
      [2, 3, 4],
      [4, 5, 6],
    ])
  })

  test('over the whole stream', async () => {
    expect(
      await outOf((env) =>
        env
          .fromElements(1, 2, 3, 4, 5)
          .countWindowAll(2)
          .reduce((a, b) => a + b)
          .collect('out'),
      ),
    ).toEqual([3, 7])
  })

  test('a global window fires by its trigger, and keeps its elements unless they are purged', async () => {
    const { collected } = await runJob((env) => {
      const windows = env
        .fromElements(1, 2, 3, 4)
        .keyBy(() => 'k')
        .window(GlobalWindows.create())
      windows
        .trigger(CountTrigger.of(2))
        .reduce((a, b) => a + b)
        .collect('kept')
      windows
        .trigger(PurgingTrigger.of(CountTrigger.of(2)))
        .reduce((a, b) => a + b)
        .collect('purged')
      windows.reduce((a, b) => a + b).collect('never')
    })
    expect(collected).toEqual({ kept: [3, 10], purged: [3, 7] })
  })
})

describe('late elements', () => {
  const late = new OutputTag<Click>('late')
  const click = (t: number, n: number): Click => ({ user: 'u', t, n })
  /** The watermark is at 299 when the last two come. */
  const items = [click(10, 1), click(110, 2), click(300, 3), click(50, 4), click(250, 5)]

  test('are dropped and counted', async () => {
    const { collected, metrics } = await runJob((env) => {
      clicks(env, items, 0)
        .keyBy('user')
        .window(TumblingEventTimeWindows.of(100))
        .sum('n')
        .map(({ n }) => n)
        .uid('n')
        .collect('out')
    })
    expect(collected.out).toEqual([1, 2, 3])
    expect(metrics.operators.reduce((sum, { late: count }) => sum + count, 0)).toBe(2)
  })

  test('go to a side output, uncounted', async () => {
    const { collected, metrics } = await runJob((env) => {
      const sums = clicks(env, items, 0).keyBy('user').window(TumblingEventTimeWindows.of(100)).sideOutputLateData(late).sum('n')
      sums.map(({ n }) => n).collect('out')
      sums
        .getSideOutput(late)
        .map(({ n }) => n)
        .collect('late')
    })
    expect(collected).toEqual({ out: [1, 2, 3], late: [4, 5] })
    expect(metrics.operators.every(({ late: count }) => count === 0)).toBe(true)
  })

  test('fire their window again within the allowed lateness', async () => {
    const { collected } = await runJob((env) => {
      const sums = clicks(env, items, 0).keyBy('user').window(TumblingEventTimeWindows.of(100)).allowedLateness(100).sideOutputLateData(late).sum('n')
      sums.map(({ n }) => n).collect('out')
      sums
        .getSideOutput(late)
        .map(({ n }) => n)
        .collect('late')
    })
    expect(collected).toEqual({ out: [1, 2, 5, 3], late: [4] })
  })
})

describe('triggers and evictors', () => {
  test('a trigger of the job, with state and purging', async () => {
    /** Fires and purges at elements above a limit. */
    class AboveTrigger extends Trigger<Click, TimeWindow> {
      override onElement({ n }: Click): TriggerResult {
        return n > 10 ? TriggerResult.FIRE_AND_PURGE : TriggerResult.CONTINUE
      }
      override onEventTime(): TriggerResult {
        return TriggerResult.CONTINUE
      }
      override onProcessingTime(): TriggerResult {
        return TriggerResult.CONTINUE
      }
      override clear(): void {}
    }
    const click = (t: number, n: number): Click => ({ user: 'u', t, n })
    const out = await outOf((env) => {
      clicks(env, [click(1, 1), click(2, 11), click(3, 2), click(4, 3), click(5, 20), click(6, 1)])
        .keyBy('user')
        .window(TumblingEventTimeWindows.of(100))
        .trigger(new AboveTrigger())
        .sum('n')
        .map(({ n }) => n)
        .collect('out')
    })
    expect(out).toEqual([12, 25])
  })

  test('an evictor with reduce, aggregate and process', async () => {
    const { collected } = await runJob((env) => {
      const click = (t: number, n: number): Click => ({ user: 'u', t, n })
      const windows = clicks(env, [click(1, 1), click(2, 2), click(3, 3), click(4, 4)])
        .keyBy('user')
        .window(TumblingEventTimeWindows.of(100))
        .evictor(CountEvictor.of(2))
      windows
        .sum('n')
        .map(({ n }) => n)
        .collect('reduce')
      windows.aggregate({ createAccumulator: () => 0, add: ({ n }, sum: number) => sum + n, getResult: (sum) => sum }).collect('aggregate')
      windows.process({ process: (_k, _c, all, out: Collector<unknown>) => out.collect([...all].map(({ n }) => n)) }).collect('process')
    })
    expect(collected).toEqual({ reduce: [7], aggregate: [7], process: [[3, 4]] })
  })

  test('windows keep state of their own and of their key', async () => {
    const fired = new ValueStateDescriptor<number>('fired')
    const { collected } = await runJob((env) => {
      clicks(env)
        .keyBy('user')
        .window(TumblingEventTimeWindows.of(1_000))
        .trigger(CountTrigger.of(10))
        .process({
          process(user, ctx, _all, out: Collector<[string, number, number]>) {
            const inWindow = (ctx.windowState.getState(fired).value() ?? 0) + 1
            const ofKey = (ctx.globalState.getState(fired).value() ?? 0) + 1
            ctx.windowState.getState(fired).update(inWindow)
            ctx.globalState.getState(fired).update(ofKey)
            out.collect([user, inWindow, ofKey])
          },
          clear(ctx) {
            ctx.windowState.getState(fired).clear()
          },
        })
        .collect('out')
    })
    const ofUser = (collected.out as [string, number, number][]).filter(([user]) => user === 'u1')
    expect(ofUser.map(([, , n]) => n)).toEqual(ofUser.map((_, i) => i + 1))
    expect(ofUser.some(([, inWindow, ofKey]) => inWindow < ofKey)).toBe(true)
  })
})

describe('processing time', () => {
  test('tumbling windows fire by the clock, without timestamps', async () => {
    const startedAt = Date.now()
    const { collected } = await runJob((env) => {
      env
        .fromSource(slowly(40, 5), WatermarkStrategy.noWatermarks())
        .keyBy((i) => i % 2)
        .window(TumblingProcessingTimeWindows.of(50))
        .process({ process: (key, { window }, all, out: Collector<unknown>) => out.collect([key, window.start, [...all].length]) })
        .collect('out')
    })
    const windows = collected.out as [number, number, number][]
    expect(windows.length).toBeGreaterThan(4)
    for (const [, start] of windows) {
      expect(start % 50).toBe(0)
      expect(start).toBeGreaterThan(startedAt - 51)
    }
    // Windows that are open at the end of the input do not fire, as in Flink.
    const counted = windows.reduce((sum, [, , n]) => sum + n, 0)
    expect(counted).toBeGreaterThan(20)
    expect(counted).toBeLessThanOrEqual(40)
  })
})

/** `count` numbers, one every `everyMs`. */
function slowly(count: number, everyMs: number) {
  const inner = collectionSource(Array.from({ length: count }, (_, i) => i))
  return {
    ...inner,
    createReader: () => {
      let next = 0
      return {
        start: () => {},
        pollNext: (out: { collect(value: number): void }) => {
          if (next === count) return 'end' as const
          out.collect(next++)
          return 'waiting' as const
        },
        available: () => new Promise<void>((resolve) => setTimeout(resolve, everyMs)),
        addSplits: () => {},
        notifyNoMoreSplits: () => {},
        snapshotState: () => [],
        close: () => {},
      }
    },
  }
}
