import { describe, expect, test } from 'vitest'
import { defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { TumblingEventTimeWindows } from '../../runtime/api/windowing/index.js'
import { type Sink, valueState, WatermarkStrategy } from '../../runtime/core/index.js'
import { type JobEvent, type JobHandle, type RunOptions, run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { Gate, gatedSource } from './gated-source.js'
import { expectFailure, failureOf, kindsOf, sorted, until } from './run-job.js'

/** Running counts by remainder of 5, and sums of windows of 100 ms (10 elements). */
function job(gate: Gate, count?: number) {
  return (env: StreamExecutionEnvironment) => {
    const numbers = env.fromSource(gatedSource(gate, count), WatermarkStrategy.forMonotonousTimestamps<number>()).uid('numbers')
    numbers
      .keyBy((i) => i % 5)
      .process({
        state: { n: valueState<number>({ defaultValue: 0 }) },
        processElement(i, ctx, out) {
          const n = (ctx.state.n.value() as number) + 1
          ctx.state.n.update(n)
          out.collect([i, n])
        },
      })
      .uid('counts')
      .collect('counts')
      .uid('collect-counts')
    numbers
      .keyBy((i) => i % 5)
      .window(TumblingEventTimeWindows.of(100))
      .reduce((a, b) => a + b)
      .uid('sums')
      .collect('sums')
      .uid('collect-sums')
  }
}

const countsTo = (count: number) => Array.from({ length: count }, (_, i) => [i, Math.floor(i / 5) + 1])
/** Each window of 10 has i and i + 5 for each key. */
const sumsTo = (count: number) =>
  Array.from({ length: count }, (_, i) => i)
    .filter((i) => i % 10 < 5)
    .map((i) => (i + 5 < count ? i + i + 5 : i))

async function start(define: (env: StreamExecutionEnvironment) => void, options: RunOptions = {}) {
  const events: JobEvent[] = []
  const handle = await run(defineJob('test', define), { threads: 0, autoWatermarkIntervalMs: 5, ...options, onEvent: (event) => events.push(event) })
  const completed = () => events.filter((event) => event.kind === 'checkpoint-completed').length
  return { handle, events, completed }
}

async function readTo(gate: Gate, limit: number): Promise<void> {
  gate.openTo(limit)
  await until(() => gate.emitted >= limit)
}

describe('savepoints', () => {
  test('a job that stops with a savepoint goes on from it, at other parallelisms', async () => {
    const folder = await tempFolder()
    const counts: unknown[] = []
    const sums: unknown[] = []
    let savepoint: string | undefined
    for (const [index, parallelism] of [1, 2, 3, 1].entries()) {
      const gate = new Gate()
      const { handle } = await start(job(gate), { parallelism, ...(savepoint === undefined ? {} : { restoreFrom: savepoint }) })
      gate.openTo(13 * (index + 1))
      await until(() => gate.emitted >= 13)
      const result = index < 3 ? await handle.stop({ savepointDir: folder }) : await handle.stop({ drain: true })
      expect(result.status).toBe('finished')
      savepoint = result.savepoint
      expect(gate.emitted).toBe(13)
      counts.push(...result.collected.counts)
      sums.push(...(result.collected.sums ?? []))
    }
    expect(sorted(counts)).toEqual(sorted(countsTo(52)))
    expect(sorted(sums)).toEqual(sorted(sumsTo(52)))
  })

  test('a savepoint in passing does not disturb the job, and another can start from it', async () => {
    const folder = await tempFolder()
    const gate = new Gate()
    const { handle } = await start(job(gate), { checkpointDir: await tempFolder(), checkpointIntervalMs: 20 })
    await readTo(gate, 20)
    const path = await handle.savepoint(folder)
    await readTo(gate, 30)
    const { collected } = await handle.stop({ drain: true })
    expect(sorted(collected.counts)).toEqual(sorted(countsTo(30)))
    expect(sorted(collected.sums)).toEqual(sorted(sumsTo(30)))

    const second = new Gate()
    second.openTo(30)
    const other = await start(job(second), { restoreFrom: path, parallelism: 2 })
    await until(() => second.emitted >= 10)
    const { collected: more } = await other.handle.stop({ drain: true })
    expect(sorted(more.counts)).toEqual(sorted(countsTo(30).slice(20)))
  })

  test('a job stopped without a savepoint folder goes on from its last checkpoint', async () => {
    const checkpointDir = await tempFolder()
    const gate = new Gate()
    const { handle } = await start(job(gate), { checkpointDir, checkpointIntervalMs: 0 })
    await readTo(gate, 20)
    const first = await handle.stop()
    expect(first.savepoint).toBeUndefined()
    const second = new Gate()
    second.openTo(30)
    const { handle: again, events } = await start(job(second), { checkpointDir, checkpointIntervalMs: 0, restoreFrom: 'latest', parallelism: 2 })
    await until(() => second.emitted >= 10)
    const { collected } = await again.stop({ drain: true })
    expect(events[0]).toMatchObject({ kind: 'restored', checkpointId: 1 })
    expect(sorted([...first.collected.counts, ...collected.counts])).toEqual(sorted(countsTo(30)))
  })

  test('stopping without any folder is refused, and so is a savepoint of what is drained', async () => {
    const gate = new Gate()
    const { handle } = await start(job(gate))
    await until(() => handle.status === 'running')
    await expectFailure(handle.stop(), 'OPTION_INVALID', 'no checkpoint folder')
    await expectFailure(handle.stop({ drain: true, savepointDir: await tempFolder() }), 'OPTION_INVALID', 'no savepoint')
    expect(handle.status).toBe('running')
    await handle.cancel()
  })
})

/** A sink of which `fail` says when preparing or committing throws. */
function failingSink(fail: { prepare?: boolean; commit?: boolean }): Sink<unknown, unknown, never> {
  return {
    name: 'failing',
    createWriter: () => ({
      write: () => {},
      prepareCommit: () => {
        if (fail.prepare === true) throw new Error('no commit today')
        return ['x']
      },
      close: () => {},
    }),
    createCommitter: () => ({
      commit: () => {
        if (fail.commit === true) {
          fail.commit = false
          throw new Error('committing failed once')
        }
      },
    }),
  }
}

describe('a stop that fails', () => {
  test('leaves the job running, and it reads on', async () => {
    const gate = new Gate()
    const fail = { prepare: true }
    const { handle } = await start(
      (env) => {
        job(gate)(env)
        env.fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks()).sinkTo(failingSink(fail))
      },
      { checkpointDir: await tempFolder(), checkpointIntervalMs: 0 },
    )
    gate.openTo(10)
    await until(() => gate.emitted >= 20)
    await expectFailure(handle.stop({ savepointDir: await tempFolder() }), 'USER_FUNCTION', 'preparing the commit', 'no commit today')
    expect(handle.status).toBe('running')
    gate.openTo(20)
    await until(() => gate.emitted >= 40)
    fail.prepare = false
    const { collected, status } = await handle.stop({ drain: true })
    expect(status).toBe('finished')
    expect(sorted(collected.counts)).toEqual(sorted(countsTo(20)))
  })

  for (const kind of ['savepoint', 'checkpoint'] as const) {
    test(`a commit that fails after the last ${kind} restarts from it, so that nothing is committed twice`, async () => {
      const gate = new Gate()
      const fail = { commit: false }
      const { handle, events } = await start(
        (env) => {
          job(gate)(env)
          env.fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks()).sinkTo(failingSink(fail))
        },
        { checkpointDir: await tempFolder(), checkpointIntervalMs: 0, restartStrategy: { kind: 'fixed-delay', attempts: 1, delayMs: 0 } },
      )
      gate.openTo(10)
      await until(() => gate.emitted >= 20)
      fail.commit = true
      handle.stop(kind === 'savepoint' ? { savepointDir: await tempFolder() } : {}).catch(() => {})
      await until(() => kindsOf(events).includes('restarting'))
      await until(() => handle.status === 'running')
      gate.openTo(20)
      await until(() => gate.emitted >= 40)
      const { collected } = await handle.stop()
      expect(gate.emitted).toBe(40) // nothing was read again
      expect(sorted(collected.counts)).toEqual(sorted(countsTo(20)))
    })
  }

  test('a drain that meets a failure is told so, and the job goes on', async () => {
    const gate = new Gate()
    const fail = { commit: false }
    const { handle } = await start(
      (env) => {
        env.fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks()).sinkTo(failingSink(fail))
      },
      { checkpointDir: await tempFolder(), checkpointIntervalMs: 0, restartStrategy: { kind: 'fixed-delay', attempts: 1, delayMs: 0 } },
    )
    await readTo(gate, 10)
    fail.commit = true
    expect((await failureOf(handle.stop({ drain: true }))).message).toContain('committing failed once')
    await until(() => handle.status === 'running')
    expect((await handle.cancel()).status).toBe('cancelled')
  })
})

describe('cancelling', () => {
  test('ends a running job and keeps its checkpoints', async () => {
    const checkpointDir = await tempFolder()
    const gate = new Gate()
    const { handle, completed } = await start(job(gate), { checkpointDir, checkpointIntervalMs: 10 })
    await readTo(gate, 10)
    const before = completed()
    await until(() => completed() >= before + 2)
    const result = await handle.cancel()
    expect(result.status).toBe('cancelled')
    expect(handle.status).toBe('cancelled')
    const second = new Gate()
    second.openTo(20)
    const { handle: again } = await start(job(second), { checkpointDir, restoreFrom: 'latest' })
    await until(() => second.emitted >= 10)
    expect(sorted((await again.stop({ drain: true })).collected.counts)).toEqual(sorted(countsTo(20).slice(10)))
  })

  test('twice, or while it starts, or after the end, is no error', async () => {
    const gate = new Gate()
    const { handle } = await start(job(gate))
    const [a, b] = await Promise.all([handle.cancel(), handle.cancel()])
    expect(a).toBe(b)
    expect((await handle.cancel()).status).toBe('cancelled')
    expect((await handle.stop()).status).toBe('cancelled')
  })

  test('while the job waits for its restart', async () => {
    const { handle, events } = await start(
      (env) => {
        env
          .fromElements(1)
          .map((): number => {
            throw new Error('always')
          })
          .collect('out')
      },
      { restartStrategy: { kind: 'fixed-delay', attempts: 5, delayMs: 60_000 } },
    )
    await until(() => kindsOf(events).includes('restarting'))
    expect((await handle.cancel()).status).toBe('cancelled')
  })

  test('closes every function, also when one of them throws in close', async () => {
    const closed: string[] = []
    const gate = new Gate()
    const { handle } = await start((env) => {
      env
        .fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks())
        .map({
          map: (i: number) => i,
          close: () => {
            closed.push('first')
            throw new Error('close')
          },
        })
        .map({ map: (i: number) => i, close: () => void closed.push('second') })
        .collect('out')
    })
    await readTo(gate, 1)
    await handle.cancel()
    expect(closed).toEqual(['first', 'second'])
  })
})

describe('the end of a bounded job', () => {
  test('is told once, with metrics', async () => {
    const gate = new Gate()
    gate.openTo(20)
    const { handle, events } = await start(job(gate, 20), { parallelism: 2 })
    const { status, metrics, collected } = await handle.result()
    expect(status).toBe('finished')
    expect(metrics).toMatchObject({ status: 'finished', recordsIn: 20, recordsOut: 20 + 10 })
    expect(await handle.metrics()).toEqual(metrics)
    expect(collected.sums).toHaveLength(10)
    expect(kindsOf(events)).toEqual(['running', 'finished'])
  })

  test('stop and cancel at the very end do not make it another end', async () => {
    const gate = new Gate()
    gate.openTo(20)
    const stops: Promise<unknown>[] = []
    let handle: JobHandle | undefined
    const started = await start(
      (env) => {
        job(gate, 20)(env)
        env.fromElements(1).sinkTo({
          name: 'late',
          createWriter: () => ({ write: () => {}, prepareCommit: () => [1], close: () => {} }),
          createCommitter: () => ({
            // The last checkpoint is complete, its results are being committed.
            commit: () => {
              if (handle !== undefined) stops.push(handle.stop())
            },
          }),
        })
      },
      { checkpointDir: await tempFolder() },
    )
    handle = started.handle
    expect((await handle.result()).status).toBe('finished')
    expect(stops).toHaveLength(1)
    await Promise.all(stops)
  })
})
