import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { type KeyTypes, listState, type StateDeclaration, valueState, WatermarkStrategy } from '../../runtime/core/index.js'
import { type JobEvent, type RunOptions, run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { Gate, gatedSource } from './gated-source.js'
import { expectFailure, sorted, until } from './run-job.js'

type Define = (env: StreamExecutionEnvironment) => void

/** Keeps the last element of each key in `state`. */
function keeping(gate: Gate, uid = 'keep', value: (i: number) => unknown = (i) => i): Define {
  return (env) => {
    env
      .fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks())
      .uid('numbers')
      .keyBy((i) => i % 4)
      .process({
        state: { last: valueState<unknown>() },
        processElement(i, ctx, out) {
          ctx.state.last.update(value(i))
          out.collect(i)
        },
      })
      .uid(uid)
      .name('Keep')
      .collect('out')
      .uid('collect')
  }
}

async function start(define: Define, options: RunOptions = {}, name = 'test') {
  const events: JobEvent[] = []
  const handle = await run(defineJob(name, define), { threads: 0, ...options, onEvent: (event) => events.push(event) })
  const count = (kind: JobEvent['kind']) => events.filter((event) => event.kind === kind).length
  return { handle, events, count }
}

/** A folder with one checkpoint of ten elements. */
async function checkpointed(define: (gate: Gate) => Define = keeping, options: RunOptions = {}): Promise<string> {
  const checkpointDir = await tempFolder()
  const gate = new Gate()
  gate.openTo(10)
  const { handle } = await start(define(gate), { checkpointDir, checkpointIntervalMs: 0, ...options })
  await until(() => gate.emitted === 10)
  await handle.stop()
  return checkpointDir
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

describe('periodic checkpoints', () => {
  test('come at the interval, keep the pause, and leave as many as are to be retained', async () => {
    const checkpointDir = await tempFolder()
    const gate = new Gate()
    const { handle, events, count } = await start(keeping(gate), {
      checkpointDir,
      checkpointIntervalMs: 5,
      minPauseBetweenCheckpointsMs: 40,
      retainedCheckpoints: 2,
    })
    const startedAt = Date.now()
    for (let i = 1; i <= 5; i++) {
      gate.openTo(i * 4)
      await until(() => count('checkpoint-completed') >= i)
    }
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(4 * 40)
    await handle.cancel()
    const ids = events.flatMap((event) => (event.kind === 'checkpoint-completed' ? [event.checkpointId] : []))
    expect(ids).toEqual(ids.map((_, i) => i + 1))
    const manifests = (await filesBelow(checkpointDir)).filter((file) => file.endsWith('manifest.json'))
    expect(manifests.map((file) => /chk-(\d+)/.exec(file)?.[1]).sort()).toEqual(ids.slice(-2).map(String).sort())
  })

  test('0 switches them off; the last one is taken all the same', async () => {
    const gate = new Gate()
    gate.openTo(10)
    const { handle, count } = await start(keeping(gate), { checkpointDir: await tempFolder(), checkpointIntervalMs: 0 })
    await until(() => gate.emitted === 10)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(count('checkpoint-started')).toBe(0)
    await handle.stop({ drain: true })
    expect(count('checkpoint-completed')).toBe(1)
  })

  for (const checkpointMode of ['exactly-once', 'at-least-once'] as const) {
    test(`several at once, ${checkpointMode}`, async () => {
      const gate = new Gate()
      const { handle, count } = await start(
        (env) => {
          const numbers = env.fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks())
          const halves = [numbers.filter((i) => i % 2 === 0).rebalance(), numbers.filter((i) => i % 2 === 1).rebalance()]
          halves[0]
            .union(halves[1])
            .keyBy((i) => i % 3)
            .reduce((a, b) => Math.max(a, b))
            .collect('out')
        },
        { checkpointDir: await tempFolder(), checkpointIntervalMs: 1, maxConcurrentCheckpoints: 3, checkpointMode, parallelism: 3 },
      )
      for (let i = 100; i <= 3_000; i += 100) {
        gate.openTo(i)
        await until(() => gate.emitted >= i)
      }
      await until(() => count('checkpoint-completed') >= 5)
      const { collected } = await handle.stop({ drain: true })
      expect(collected.out).toHaveLength(3_000)
      expect(count('checkpoint-failed')).toBe(0)
    })
  }

  test('one that does not end in time is aborted and fails the job', async () => {
    const gate = new Gate()
    gate.openTo(10)
    const { handle, count } = await start(
      (env) => {
        env.fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks()).sinkTo({
          name: 'slow',
          createWriter: () => ({
            write: () => {},
            prepareCommit: () => new Promise((resolve) => setTimeout(() => resolve([]), 300)),
            close: () => {},
          }),
        })
      },
      { checkpointDir: await tempFolder(), checkpointIntervalMs: 10, checkpointTimeoutMs: 50, restartStrategy: { kind: 'none' } },
    )
    await expectFailure(handle.result(), 'CHECKPOINT_FAILED', 'checkpoint 1 was not complete after 50 ms')
    expect(count('checkpoint-failed')).toBe(1)
  })

  test('as many failures in a row as are tolerated do not fail the job', async () => {
    const gate = new Gate()
    gate.openTo(10)
    let failures = 0
    const { handle, count } = await start(
      (env) => {
        env.fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks()).sinkTo({
          name: 'sometimes',
          createWriter: () => ({
            write: () => {},
            prepareCommit: () => {
              if (failures++ < 2) throw new Error('not now')
              return []
            },
            close: () => {},
          }),
        })
      },
      { checkpointDir: await tempFolder(), checkpointIntervalMs: 10, tolerableFailedCheckpoints: 2 },
    )
    await until(() => count('checkpoint-completed') >= 1)
    expect(count('checkpoint-failed')).toBe(2)
    expect((await handle.metrics()).checkpoints).toMatchObject({ failed: 2 })
    expect((await handle.cancel()).metrics.attempt).toBe(0)
  })
})

describe('operators with state and no uid', () => {
  const job: Define = (env) => {
    env
      .fromElements(1, 2, 3)
      .keyBy((i) => i)
      .reduce((a, b) => a + b)
      .name('Sum up')
      .collect('out')
  }
  const warnings = (events: readonly JobEvent[]) => events.flatMap((event) => (event.kind === 'warning' ? [event.message] : []))

  test('are warned of where checkpoints are kept, with a uid that they might have', async () => {
    const { handle, events } = await start(job, { checkpointDir: await tempFolder() })
    await handle.result()
    expect(warnings(events)).toEqual([
      `operators with state have no uid, so a changed job may not find it in these checkpoints: "Sum up" (.uid('sum-up'))`,
    ])
  })

  test('are not, where nothing is kept or all is named', async () => {
    const unkept = await start(job)
    await unkept.handle.result()
    expect(warnings(unkept.events)).toEqual([])
    const gate = new Gate()
    const named = await start(keeping(gate), { checkpointDir: await tempFolder(), checkpointIntervalMs: 0 })
    await named.handle.cancel()
    expect(warnings(named.events)).toEqual([])
  })
})

describe('restoring', () => {
  test('latest in an empty folder is a fresh start', async () => {
    const gate = new Gate()
    gate.openTo(10)
    const { handle, count } = await start(keeping(gate), { checkpointDir: await tempFolder(), restoreFrom: 'latest' })
    await until(() => gate.emitted === 10)
    expect((await handle.stop({ drain: true })).collected.out).toHaveLength(10)
    expect(count('restored')).toBe(0)
  })

  test('a path where nothing is, and latest without a folder', async () => {
    await expectFailure(
      run(defineJob('test', keeping(new Gate())), { restoreFrom: join(await tempFolder(), 'nothing') }),
      'CHECKPOINT_NOT_FOUND',
      'nothing',
    )
    await expectFailure(run(defineJob('test', keeping(new Gate())), { restoreFrom: 'latest' }), 'OPTION_INVALID', 'checkpointDir')
  })

  test('a checkpoint of another job', async () => {
    const checkpointDir = await checkpointed()
    const other = start(keeping(new Gate()), { checkpointDir, restoreFrom: 'latest' }, 'another')
    await expectFailure(other, 'CHECKPOINT_OTHER_JOB', 'belongs to job "test", not to "another"')
  })

  test('an operator that is gone is refused, and left behind on purpose', async () => {
    const checkpointDir = await checkpointed()
    const gate = new Gate()
    gate.openTo(20)
    await expectFailure(start(keeping(gate, 'renamed'), { checkpointDir, restoreFrom: 'latest' }), 'CHECKPOINT_OTHER_JOB', '"keep" (Keep)')
    const { handle } = await start(keeping(gate, 'renamed'), { checkpointDir, restoreFrom: 'latest', allowNonRestoredState: true })
    await until(() => gate.emitted === 10)
    expect(sorted((await handle.stop({ drain: true })).collected.out)).toEqual(sorted([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]))
  })

  test('another maximum parallelism', async () => {
    const checkpointDir = await checkpointed()
    await expectFailure(
      start(keeping(new Gate()), { checkpointDir, restoreFrom: 'latest', maxParallelism: 64 }),
      'PLAN_INVALID',
      'maxParallelism 128',
      'uid keep',
    )
  })

  test('a damaged manifest', async () => {
    const checkpointDir = await checkpointed()
    const manifest = (await filesBelow(checkpointDir)).find((file) => file.endsWith('manifest.json')) as string
    const text = await readFile(manifest, 'utf8')
    for (const damaged of [text.slice(0, text.length / 2), text.replace('"keep"', '"kept"'), '']) {
      await writeFile(manifest, damaged)
      await expectFailure(start(keeping(new Gate()), { checkpointDir, restoreFrom: 'latest' }), 'CHECKPOINT_CORRUPT', 'manifest.json')
    }
  })

  for (const [damage, how] of [
    ['missing', (file: string) => rm(file)],
    ['cut short', (file: string) => truncate(file, 20)],
    [
      'changed',
      async (file: string) =>
        writeFile(
          file,
          (await readFile(file)).map((byte, i) => (i === 30 ? byte ^ 1 : byte)),
        ),
    ],
  ] as const) {
    test(`a segment that is ${damage}`, async () => {
      const checkpointDir = await checkpointed()
      const segment = (await filesBelow(checkpointDir)).find((file) => !file.endsWith('manifest.json')) as string
      await how(segment)
      const { handle, count } = await start(keeping(new Gate()), { checkpointDir, restoreFrom: 'latest' })
      await expectFailure(handle.result(), 'CHECKPOINT_CORRUPT', segment)
      expect(count('failure')).toBe(1) // it does not get better by trying again
    })
  }

  test('a state that has changed its kind', async () => {
    const changing =
      (state: StateDeclaration) =>
      (gate: Gate): Define =>
      (env) => {
        env
          .fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks())
          .uid('numbers')
          .keyBy((i) => i)
          .process({
            state,
            processElement(i, ctx, out) {
              const last = ctx.state.last as unknown as { update(value: unknown): void }
              last.update(state.last.kind === 'value' ? i : [i])
              out.collect(i)
            },
          })
          .uid('changing')
          .name('Changing')
          .collect('out')
          .uid('collect')
      }
    const checkpointDir = await checkpointed(changing({ last: valueState() }))
    const gate = new Gate()
    gate.openTo(20)
    const { handle } = await start(changing({ last: listState() })(gate), { checkpointDir, restoreFrom: 'latest' })
    await expectFailure(
      handle.result(),
      'STATE_DESCRIPTOR',
      'state "last" is value state and is now asked for as list state',
      '"Changing"',
      'uid changing',
    )
  })

  test('a chk folder by its path', async () => {
    const checkpointDir = await checkpointed()
    const gate = new Gate()
    gate.openTo(20)
    const { handle, events } = await start(keeping(gate), { restoreFrom: join(checkpointDir, 'chk-1') })
    await until(() => gate.emitted === 10)
    expect((await handle.stop({ drain: true })).collected.out).toHaveLength(10)
    expect(events[0]).toMatchObject({ kind: 'restored', checkpointId: 1 })
  })
})

describe('state that cannot be stored', () => {
  class Account {
    balance = 1
  }
  for (const [what, value] of [
    ['a function', () => () => 1],
    ['an instance of Account', () => new Account()],
    ['a symbol', () => Symbol('s')],
    ['an instance of Promise', () => ({ later: Promise.resolve(1) })],
  ] as const) {
    test(`${what}: the checkpoint says in which state of which operator`, async () => {
      const gate = new Gate()
      gate.openTo(3)
      const { handle } = await start(keeping(gate, 'keep', value), { checkpointDir: await tempFolder(), checkpointIntervalMs: 10 })
      await expectFailure(handle.result(), 'STATE_UNSERIALISABLE', 'state "last"', what, 'operator "Keep" (uid keep)')
    })
  }
})

describe('a checkpoint whose keys are of another type', () => {
  const counting =
    (key: (i: number) => unknown, types?: KeyTypes) =>
    (gate: Gate): Define =>
    (env) => {
      env
        .fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks())
        .uid('numbers')
        .keyBy(key, types)
        .reduce((a, b) => a + b)
        .uid('sum')
        .collect('out')
        .uid('collect')
    }
  const asText = (i: number) => String(i % 2)
  const asNumber = (i: number) => i % 2

  async function goOn(checkpointDir: string, define: (gate: Gate) => Define) {
    const gate = new Gate()
    gate.openTo(20)
    return { gate, ...(await start(define(gate), { checkpointDir, restoreFrom: 'latest' })) }
  }

  /** The sums of the even and the odd numbers below 20 as the job knows them, which has been stopped after 10. */
  async function sumsIn(checkpointDir: string, define: (gate: Gate) => Define): Promise<unknown> {
    const { gate, handle } = await goOn(checkpointDir, define)
    await until(() => gate.emitted === 10)
    await handle.stop()
    return ((await handle.result()).collected.out as readonly number[]).slice(-2)
  }

  test('stops the job at the first key instead of beginning anew', async () => {
    const folder = await checkpointed(counting(asText))
    const { handle } = await goOn(folder, counting(asNumber))
    await expectFailure(handle.result(), 'KEY_TYPE', 'a key is of type number', 'has keys of type string', 'uid sum')
  })

  test('goes on where keys are what they were, and where the job says that they are of both types', async () => {
    const folder = await checkpointed(counting(asText))
    expect(await sumsIn(folder, counting(asText))).toEqual([90, 100])
    const other = await checkpointed(counting(asText))
    expect(await sumsIn(other, counting(asNumber, ['string', 'number']))).toEqual([70, 75])
  })

  test('is refused before anything runs when the job says that they are of another', async () => {
    const folder = await checkpointed(counting(asText))
    await expectFailure(goOn(folder, counting(asNumber, 'number')), 'PLAN_INCOMPATIBLE', 'under keys of type string', 'operator sum')
  })
})
