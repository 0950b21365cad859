import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { defineJob } from '../../runtime/api/index.js'
import { MemoryFileSystem } from '../../runtime/backends/memory/index.js'
import { valueState, WatermarkStrategy } from '../../runtime/core/index.js'
import { type JobEvent, type RunOptions, run } from '../../runtime/local/index.js'
import { FailingFileSystem } from '../../runtime/testing/failing-file-system.js'
import { Gate, gatedSource } from './gated-source.js'
import { expectFailure, sorted, until } from './run-job.js'

const checkpointDir = join('checkpoints', 'job')

async function start(fileSystem: FailingFileSystem, gate: Gate, options: RunOptions = {}) {
  const events: JobEvent[] = []
  const job = defineJob('test', (env) => {
    env
      .fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks())
      .keyBy((i) => i % 3)
      .process({
        state: { n: valueState<number>({ defaultValue: 0 }) },
        processElement(i, ctx, out) {
          const n = (ctx.state.n.value() as number) + 1
          ctx.state.n.update(n)
          out.collect([i, n])
        },
      })
      .collect('out')
  })
  const handle = await run(job, {
    threads: 0,
    fileSystem,
    checkpointDir,
    checkpointIntervalMs: 10,
    restartStrategy: { kind: 'none' },
    ...options,
    onEvent: (event) => events.push(event),
  })
  const count = (kind: JobEvent['kind']) => events.filter((event) => event.kind === kind).length
  return { handle, count }
}

const countsTo = (count: number) => Array.from({ length: count }, (_, i) => [i, Math.floor(i / 3) + 1])

describe('a disk that fails during a checkpoint', () => {
  for (const [what, path] of [
    ['segment', 'shared'],
    ['manifest', 'manifest.json'],
  ]) {
    test(`full while a ${what} is written: said with the path, and the job fails`, async () => {
      const disk = new FailingFileSystem(new MemoryFileSystem())
      const gate = new Gate()
      const { handle, count } = await start(disk, gate)
      gate.openTo(10)
      await until(() => count('checkpoint-completed') >= 1)
      disk.fail({ call: 'writeFileAtomic', path, code: 'ENOSPC', every: true })
      gate.openTo(20)
      await expectFailure(handle.result(), 'STORAGE', 'writing a blob', 'ENOSPC', path === 'shared' ? checkpointDir : path)
      expect(count('checkpoint-failed')).toBe(1)
    })

    test(`a ${what} that cannot be written once: the next checkpoint is whole`, async () => {
      const disk = new FailingFileSystem(new MemoryFileSystem())
      const gate = new Gate()
      const { handle, count } = await start(disk, gate, { tolerableFailedCheckpoints: 1 })
      gate.openTo(10)
      await until(() => count('checkpoint-completed') >= 2)
      disk.fail({ call: 'writeFileAtomic', path })
      gate.openTo(20)
      await until(() => count('checkpoint-failed') >= 1)
      const completed = count('checkpoint-completed')
      await until(() => count('checkpoint-completed') >= completed + 1)
      const before = (await handle.cancel()).collected.out

      const second = new Gate()
      second.openTo(30)
      const again = await start(disk, second, { restoreFrom: 'latest', parallelism: 2 })
      await until(() => second.emitted >= 10)
      const { collected } = await again.handle.stop({ drain: true })
      expect(sorted([...before, ...collected.out])).toEqual(sorted(countsTo(30)))
    })
  }

  test('a full disk, a restart, and room again: results are there exactly once', async () => {
    const disk = new FailingFileSystem(new MemoryFileSystem())
    const gate = new Gate()
    const { handle, count } = await start(disk, gate, { restartStrategy: { kind: 'fixed-delay', attempts: 100, delayMs: 5 } })
    gate.openTo(10)
    await until(() => count('checkpoint-completed') >= 1)
    disk.fail({ call: 'writeFileAtomic', code: 'ENOSPC', every: true })
    gate.openTo(20)
    await until(() => count('failure') >= 3)
    disk.heal()
    const completed = count('checkpoint-completed')
    await until(() => count('checkpoint-completed') >= completed + 2)
    const { collected } = await handle.stop({ drain: true })
    expect(sorted(collected.out)).toEqual(sorted(countsTo(20)))
  })

  test('a disk that cannot be read at the start', async () => {
    const disk = new FailingFileSystem(new MemoryFileSystem(), { faults: [{ call: 'list', every: true, code: 'EACCES' }] })
    await expectFailure(start(disk, new Gate()), 'STORAGE', 'EACCES', checkpointDir)
  })

  test('old checkpoints that cannot be deleted are no failure', async () => {
    const disk = new FailingFileSystem(new MemoryFileSystem(), { faults: [{ call: 'remove', every: true }] })
    const gate = new Gate()
    gate.openTo(10)
    const { handle, count } = await start(disk, gate)
    await until(() => count('checkpoint-completed') >= 4)
    expect((await handle.stop({ drain: true })).collected.out).toHaveLength(10)
  })
})

test('a checkpoint that is complete just as the job fails is the one to restart from', async () => {
  const inner = new MemoryFileSystem()
  let hold: Promise<void> | undefined
  let writing = false
  class SlowManifests extends FailingFileSystem {
    override async writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
      await super.writeFileAtomic(path, bytes)
      if (hold === undefined || !path.includes('manifest')) return
      writing = true
      await hold
    }
  }
  const gate = new Gate()
  let fail = false
  const events: JobEvent[] = []
  const job = defineJob('test', (env) => {
    env
      .fromSource(gatedSource(gate), WatermarkStrategy.noWatermarks())
      .map((i) => {
        if (!fail) return i
        fail = false
        throw new Error('now')
      })
      .collect('out')
  })
  const handle = await run(job, {
    threads: 0,
    fileSystem: new SlowManifests(inner),
    checkpointDir,
    checkpointIntervalMs: 30,
    restartStrategy: { kind: 'fixed-delay', attempts: 1, delayMs: 0 },
    onEvent: (event) => events.push(event),
  })
  gate.openTo(10)
  await until(() => gate.emitted === 10)
  let release!: () => void
  hold = new Promise((resolve) => {
    release = resolve
  })
  await until(() => writing)
  fail = true
  gate.openTo(20)
  await until(() => events.some((event) => event.kind === 'failure'))
  await new Promise((resolve) => setTimeout(resolve, 20))
  hold = undefined
  release()
  await until(() => gate.emitted >= 21 || handle.status === 'failed')
  const { collected } = await handle.stop({ drain: true })
  expect(sorted(collected.out)).toEqual(sorted(Array.from({ length: 20 }, (_, i) => i)))
  expect(gate.emitted).toBe(21) // only the element that failed was read again
})
