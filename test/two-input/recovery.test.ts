import { describe, expect, test } from 'vitest'
import { type DataStream, defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { TumblingEventTimeWindows } from '../../runtime/api/windowing/index.js'
import { type Collector, mapState, valueState, WatermarkStrategy } from '../../runtime/core/index.js'
import { type JobEvent, type RunOptions, run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { Gate, gatedSource } from '../local/gated-source.js'
import { kindsOf, sorted, throughSavepoints, until } from '../local/run-job.js'

const COUNT = 240
const rules = mapState<number, number>({ name: 'rules' })
type Define = (env: StreamExecutionEnvironment, a: DataStream<number>, b: DataStream<number>) => void

/** Numbers with event time i * 10 ms: both streams are these. */
function job(gate: Gate, define: Define) {
  const strategy = WatermarkStrategy.forMonotonousTimestamps<number>()
  return defineJob('recovery', (env) => {
    const numbers = (uid: string) => env.fromSource(gatedSource(gate, COUNT), strategy).uid(uid).rebalance()
    define(env, numbers('a'), numbers('b'))
  })
}

const keyedPairs: Define = (_env, a, b) =>
  a
    .keyBy((i) => i % 10)
    .connect(b.keyBy((i) => i % 10))
    .process({
      state: { sum: valueState<number>({ defaultValue: 0 }) },
      processElement1(i, ctx, out: Collector<unknown>) {
        ctx.state.sum.update((ctx.state.sum.value() as number) + i)
        ctx.timerService.registerEventTimeTimer(1_000_000_000)
        out.collect(['a', i])
      },
      processElement2(i, ctx, out) {
        ctx.state.sum.update((ctx.state.sum.value() as number) + 1000 * i)
        out.collect(['b', i])
      },
      onTimer(_time, ctx, out) {
        out.collect([ctx.currentKey, ctx.state.sum.value()])
      },
    })
    .uid('pairs')
    .collect('out')
    .uid('out')

function expectedPairs(): unknown[] {
  const numbers = Array.from({ length: COUNT }, (_, i) => i)
  const sums = Array.from({ length: 10 }, (_, key) => [key, numbers.filter((i) => i % 10 === key).reduce((s, i) => s + 1001 * i, 0)])
  return [...numbers.map((i) => ['a', i]), ...numbers.map((i) => ['b', i]), ...sums]
}

const joins: Define = (_env, a, b) => {
  const near = a
    .keyBy((i) => i % 3)
    .intervalJoin(b.keyBy((i) => i % 3))
    .between(-60, 30)
    .process({ processElement: (l, r, _ctx, out: Collector<unknown>) => out.collect(['near', l, r]) })
    .uid('near')
  const same = a
    .join(b)
    .where((i) => i % 4)
    .equalTo((i) => i % 4)
    .window(TumblingEventTimeWindows.of(200))
    .apply((l, r): unknown => ['same', l, r])
    .uid('same')
  near.union(same).collect('out').uid('out')
}

function expectedJoins(): unknown[] {
  const expected: unknown[] = []
  for (let l = 0; l < COUNT; l++) {
    for (let r = 0; r < COUNT; r++) {
      if (l % 3 === r % 3 && r - l >= -6 && r - l <= 3) expected.push(['near', l, r])
      if (l % 4 === r % 4 && Math.floor(l / 20) === Math.floor(r / 20)) expected.push(['same', l, r])
    }
  }
  return expected
}

/** What all subtasks know of `b` at the end, written by the timers of keys of `a`. */
const broadcast: Define = (_env, a, b) =>
  a
    .keyBy((i) => i % 16)
    .connect(b.broadcast(rules))
    .process({
      state: { seen: valueState<number>({ defaultValue: 0 }) },
      processElement(_i, ctx) {
        ctx.state.seen.update((ctx.state.seen.value() as number) + 1)
        ctx.timerService.registerEventTimeTimer(1_000_000_000)
      },
      processBroadcastElement(i, ctx) {
        const state = ctx.getBroadcastState(rules)
        state.put(i % 7, (state.get(i % 7) ?? 0) + i)
      },
      onTimer(_time, ctx, out: Collector<unknown>) {
        out.collect([ctx.currentKey, ctx.state.seen.value(), [...ctx.getBroadcastState(rules).entries()].sort((x, y) => x[0] - y[0])])
      },
    })
    .uid('broadcast')
    .collect('out')
    .uid('out')

function expectedBroadcast(): unknown[] {
  const sums = Array.from({ length: 7 }, (_, key) => [
    key,
    Array.from({ length: COUNT }, (_, i) => (i % 7 === key ? i : 0)).reduce((s, i) => s + i, 0),
  ])
  return Array.from({ length: 16 }, (_, key) => [key, COUNT / 16, sums])
}

const cases: [string, Define, () => unknown[]][] = [
  ['keyed coProcess', keyedPairs, expectedPairs],
  ['joins', joins, expectedJoins],
  ['broadcast state', broadcast, expectedBroadcast],
]

async function start(gate: Gate, define: Define, options: RunOptions) {
  const events: JobEvent[] = []
  const handle = await run(job(gate, define), { threads: 0, autoWatermarkIntervalMs: 5, ...options, onEvent: (event) => events.push(event) })
  return { handle, completed: () => events.filter((event) => event.kind === 'checkpoint-completed').length, events }
}

describe.each(cases)('%s', (_name, define, expected) => {
  test('is exact through savepoints at parallelism 2, 3, 1, 4', async () => {
    const gate = new Gate()
    const results = await throughSavepoints(
      [2, 3, 1, 4],
      async (options) => (await start(gate, define, options)).handle,
      async (index) => {
        const before = gate.emitted
        gate.openTo(index === 3 ? COUNT : 60 * (index + 1))
        if (index < 3) await until(() => gate.emitted >= before + 2 * 60)
      },
    )
    expect(sorted(results.flatMap(({ collected }) => collected.out ?? []))).toEqual(sorted(expected()))
  })

  for (const parallelism of [1, 2, 3]) {
    test(`is exactly once after a failure, parallelism ${parallelism}`, async () => {
      const gate = new Gate()
      let failed = false
      const failing: Define = (env, a, b) =>
        define(
          env,
          a.map((i) => {
            if (i === 150 && !failed) {
              failed = true
              throw new Error('once')
            }
            return i
          }),
          b,
        )
      const { handle, completed, events } = await start(gate, failing, {
        parallelism,
        checkpointDir: await tempFolder(),
        checkpointIntervalMs: 5,
        restartStrategy: { kind: 'fixed-delay', attempts: 1, delayMs: 0 },
      })
      gate.openTo(100)
      await until(() => gate.emitted >= 200)
      const before = completed()
      await until(() => completed() >= before + 2)
      gate.openTo(COUNT)
      const { collected } = await handle.result()
      expect(sorted(collected.out)).toEqual(sorted(expected()))
      expect(kindsOf(events)).toContain('restarting')
    })
  }
})
