import { describe, expect, test } from 'vitest'
import { defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { valueState, WatermarkStrategy } from '../../runtime/core/index.js'
import { type JobEvent, type RunOptions, run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { Gate, gatedSource } from './gated-source.js'
import { expectFailure, kindsOf, runJob, sorted, until } from './run-job.js'

const restart = { kind: 'fixed-delay', attempts: 3, delayMs: 0 } as const

/** Running sums by remainder; the map before them throws once, at `failAt`. */
function sums(gate: Gate, failAt: number, count = 40) {
  let failed = false
  return (env: StreamExecutionEnvironment) => {
    env
      .fromSource(gatedSource(gate, count), WatermarkStrategy.noWatermarks())
      .map((i) => {
        if (i === failAt && !failed) {
          failed = true
          throw new Error('once')
        }
        return i
      })
      .keyBy((i) => i % 3)
      .process({
        state: { sum: valueState<number>({ defaultValue: 0 }) },
        processElement(i, ctx, out) {
          const sum = (ctx.state.sum.value() as number) + i
          ctx.state.sum.update(sum)
          out.collect([i, sum])
        },
      })
      .collect('out')
  }
}

function expectedSums(count: number): number[][] {
  const totals = [0, 0, 0]
  return Array.from({ length: count }, (_, i) => {
    totals[i % 3] += i
    return [i, totals[i % 3]]
  })
}

async function start(define: (env: StreamExecutionEnvironment) => void, options: RunOptions) {
  const events: JobEvent[] = []
  const handle = await run(defineJob('test', define), { threads: 0, ...options, onEvent: (event) => events.push(event) })
  const completed = () => events.filter((event) => event.kind === 'checkpoint-completed').length
  return { handle, events, completed }
}

describe('a function that throws once', () => {
  for (const parallelism of [1, 2, 3]) {
    test(`results are there exactly once after a restart from the last checkpoint, parallelism ${parallelism}`, async () => {
      const gate = new Gate()
      const { handle, events, completed } = await start(sums(gate, 25), {
        checkpointDir: await tempFolder(),
        checkpointIntervalMs: 10,
        restartStrategy: restart,
        parallelism,
      })
      for (let i = 5; i <= 20; i += 5) {
        gate.openTo(i)
        const before = completed()
        await until(() => completed() >= before + 2)
      }
      gate.openTo(40)
      const { collected, metrics } = await handle.result()
      expect(sorted(collected.out)).toEqual(sorted(expectedSums(40)))
      expect(metrics.attempt).toBe(1)
      expect(kindsOf(events)).toContain('restarting')
      expect(gate.emitted).toBeGreaterThan(40) // some were read twice: the restart went back to a checkpoint
      expect(gate.emitted).toBeLessThan(80) // and not to the beginning
    })
  }

  test('results that a checkpoint has committed do not come again when the restart is from that checkpoint', async () => {
    const gate = new Gate()
    const { handle, completed } = await start(sums(gate, 25), {
      checkpointDir: await tempFolder(),
      checkpointIntervalMs: 60,
      restartStrategy: restart,
    })
    gate.openTo(20)
    await until(() => gate.emitted === 20)
    const before = completed()
    await until(() => completed() > before)
    gate.openTo(40)
    expect(sorted((await handle.result()).collected.out)).toEqual(sorted(expectedSums(40)))
  })

  test('before the first checkpoint the job starts from the beginning', async () => {
    const gate = new Gate()
    gate.openTo(40)
    const { handle } = await start(sums(gate, 5), { checkpointDir: await tempFolder(), restartStrategy: restart })
    const { collected } = await handle.result()
    expect(sorted(collected.out)).toEqual(sorted(expectedSums(40)))
  })

  test('restarts without checkpoints start from the beginning too', async () => {
    const gate = new Gate()
    gate.openTo(40)
    const { handle } = await start(sums(gate, 5), { restartStrategy: restart })
    expect(sorted((await handle.result()).collected.out)).toEqual(sorted(expectedSums(40)))
  })

  test('without checkpoints the default is not to restart', async () => {
    const gate = new Gate()
    gate.openTo(40)
    const { handle, events } = await start(sums(gate, 5), {})
    await expectFailure(handle.result(), 'USER_FUNCTION', 'the map function threw', 'once', 'operator "Map" (uid map-2)')
    expect(handle.status).toBe('failed')
    expect(kindsOf(events).at(-1)).toBe('failed')
  })
})

describe('restart strategies', () => {
  const alwaysFails = (env: StreamExecutionEnvironment) => {
    env
      .fromElements(1)
      .map((): number => {
        throw new Error('always')
      })
      .collect('out')
  }

  test('fixed delay gives up after its attempts', async () => {
    const { handle, events } = await start(alwaysFails, { restartStrategy: { kind: 'fixed-delay', attempts: 2, delayMs: 1 } })
    await expectFailure(handle.result(), 'USER_FUNCTION', 'always')
    expect(events.filter((event) => event.kind === 'failure').map((event) => event.restartInMs)).toEqual([1, 1, undefined])
  })

  test('exponential delay grows', async () => {
    const strategy = { kind: 'exponential-delay', initialDelayMs: 1, maxDelayMs: 3, multiplier: 2, resetAfterMs: 60_000, attempts: 3 } as const
    const { handle, events } = await start(alwaysFails, { restartStrategy: strategy })
    await expectFailure(handle.result(), 'USER_FUNCTION', 'always')
    expect(events.filter((event) => event.kind === 'failure').map((event) => event.restartInMs)).toEqual([1, 2, 3, undefined])
  })

  test.each<[NonNullable<RunOptions['restartStrategy']>, string]>([
    [{ kind: 'fixed-delay', attempts: 1.5, delayMs: 1 }, 'restartStrategy.attempts is 1.5'],
    [{ kind: 'failure-rate', failures: 0.5, intervalMs: 1, delayMs: 0 }, 'restartStrategy.failures is 0.5'],
    [{ kind: 'exponential-delay', initialDelayMs: 9, maxDelayMs: 3, multiplier: 2, resetAfterMs: 1 }, 'restartStrategy.initialDelayMs is 9'],
  ])('%j is refused', async (restartStrategy, what) => {
    await expectFailure(start(alwaysFails, { restartStrategy }), 'OPTION_INVALID', what)
  })

  test('failure rate gives up when failures come too fast', async () => {
    const { handle, events } = await start(alwaysFails, { restartStrategy: { kind: 'failure-rate', failures: 1, intervalMs: 60_000, delayMs: 0 } })
    await expectFailure(handle.result(), 'USER_FUNCTION', 'always')
    expect(events.filter((event) => event.kind === 'failure')).toHaveLength(2)
  })

  test('what cannot get better by trying again is not tried again', async () => {
    const { handle, events } = await start(
      (env) => {
        env
          .fromElements({ n: 1 })
          .keyBy(() => undefined)
          .reduce((a) => a)
          .collect('out')
      },
      { restartStrategy: restart },
    )
    await expectFailure(handle.result(), 'KEY_INVALID')
    expect(events.filter((event) => event.kind === 'failure')).toHaveLength(1)
  })

  test('the attempt number rises, open and close are called for each attempt', async () => {
    const calls: string[] = []
    await runJob(
      (env) => {
        let attempt = -1
        env
          .fromElements(1, 2)
          .map({
            open(context) {
              attempt = context.attemptNumber
              calls.push(`open ${attempt}`)
            },
            map: (n: number) => {
              if (attempt === 0) throw new Error('once')
              return n
            },
            close: () => void calls.push(`close ${attempt}`),
          })
          .collect('out')
      },
      { restartStrategy: restart },
    )
    expect(calls).toEqual(['open 0', 'close 0', 'open 1', 'close 1'])
  })

  test('an attempt is closed before the next one opens, also when closing takes its time', async () => {
    const calls: string[] = []
    let failed = false
    await runJob(
      (env) => {
        env.fromElements(1).sinkTo({
          name: 'slow-to-close',
          createWriter: () => {
            calls.push('open')
            return {
              write: () => {
                if (failed) return
                failed = true
                throw new Error('once')
              },
              prepareCommit: () => [],
              close: async () => {
                await new Promise((resolve) => setTimeout(resolve, 30))
                calls.push('closed')
              },
            }
          },
        })
      },
      { restartStrategy: restart },
    )
    expect(calls).toEqual(['open', 'closed', 'open', 'closed'])
  })
})
