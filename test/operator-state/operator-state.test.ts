import { describe, expect, it } from 'vitest'
import { defineJob } from '../../runtime/api/index.js'
import {
  type CheckpointedFunction,
  type Collector,
  type FlatMapFunction,
  type FunctionInitializationContext,
  type FunctionSnapshotContext,
  ListStateDescriptor,
  type MapFunction,
  MapStateDescriptor,
} from '../../runtime/core/index.js'
import { JobDriver, type JobSnapshot } from '../../runtime/testing/index.js'

const BUFFERED = new ListStateDescriptor<number>('buffered')
const SEEN = new ListStateDescriptor<number>('seen')
const NAMES = new MapStateDescriptor<string, number>('names')
const RULES = new ListStateDescriptor<string>('rules')

/** Collects numbers in memory; what is in the four states after a restore is emitted with the first element. */
class Keeper implements FlatMapFunction<number, unknown>, CheckpointedFunction {
  readonly #numbers: number[] = []
  #report: unknown

  initializeState(ctx: FunctionInitializationContext): void {
    this.#numbers.push(...ctx.getListState(BUFFERED).get())
    this.#report = {
      restored: ctx.restoredCheckpointId,
      buffered: [...this.#numbers],
      seen: [...ctx.getUnionListState(SEEN).get()].sort((a, b) => a - b),
      names: [...ctx.getBroadcastState(NAMES).entries()],
      rules: [...ctx.getBroadcastListState(RULES).get()],
    }
  }

  snapshotState(ctx: FunctionSnapshotContext): void {
    ctx.getListState(BUFFERED).update(this.#numbers)
    ctx.getUnionListState(SEEN).update(this.#numbers)
    ctx.getBroadcastState(NAMES).put('checkpoint', ctx.checkpointId)
    ctx.getBroadcastListState(RULES).update(['r1', 'r2'])
  }

  flatMap(value: number, out: Collector<unknown>): void {
    if (value < 0) out.collect(this.#report)
    else this.#numbers.push(value)
  }
}

const job = defineJob('keeper', (env) => {
  env.fromElements<number>().uid('in').rebalance().flatMap(new Keeper()).uid('keep').collect('out').uid('out')
})

interface Report {
  readonly restored: number | undefined
  readonly buffered: readonly number[]
  readonly seen: readonly number[]
  readonly names: readonly unknown[]
  readonly rules: readonly string[]
}

async function reports(parallelism: number, restored?: JobSnapshot): Promise<{ readonly driver: JobDriver; readonly reports: Report[] }> {
  const driver = await JobDriver.start(job, { parallelism, ...(restored && { restored }) })
  for (let i = 0; i < parallelism; i++) driver.input<number>('in').element(-1)
  return { driver, reports: driver.values<Report>('out') }
}

async function written(parallelism: number): Promise<JobSnapshot> {
  const { driver } = await reports(parallelism)
  for (let n = 0; n < 6; n++) driver.input<number>('in').element(n)
  return driver.snapshot()
}

describe('a function’s operator state', () => {
  it('is empty at a fresh start', async () => {
    expect((await reports(1)).reports).toEqual([{ restored: undefined, buffered: [], seen: [], names: [], rules: [] }])
  })

  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [2, 3],
    [1, 4],
  ])('written by %i subtasks, is restored by %i', async (before, after) => {
    const restored = (await reports(after, await written(before))).reports
    expect(restored).toHaveLength(after)
    // Split: each element once. Union and broadcast: all of it everywhere.
    expect(restored.flatMap(({ buffered }) => buffered).sort()).toEqual([0, 1, 2, 3, 4, 5])
    for (const { seen, names, rules, restored: checkpoint } of restored) {
      expect({ seen, names, rules, checkpoint }).toEqual({ seen: [0, 1, 2, 3, 4, 5], names: [['checkpoint', 1]], rules: ['r1', 'r2'], checkpoint: 1 })
    }
    const sizes = restored.map(({ buffered }) => buffered.length)
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
  })

  it('is as it was at the barrier, whatever the function does afterwards', async () => {
    const { driver } = await reports(1)
    driver.input<number>('in').element(1)
    const snapshot = await driver.snapshot()
    driver.input<number>('in').element(2)
    expect((await reports(1, snapshot)).reports[0].buffered).toEqual([1])
  })

  it('outlives a version of the job that does not ask for it', async () => {
    const forgetful = defineJob('keeper', (env) => {
      env
        .fromElements<number>()
        .uid('in')
        .rebalance()
        .map((n: number) => n)
        .uid('keep')
        .collect('out')
        .uid('out')
    })
    const between = await JobDriver.start(forgetful, { restored: await written(2), parallelism: 2 })
    expect((await reports(2, await between.snapshot())).reports.flatMap(({ buffered }) => buffered).sort()).toEqual([0, 1, 2, 3, 4, 5])
  })
})

describe('refusals', () => {
  const start = (fn: Partial<CheckpointedFunction>) => {
    const map: MapFunction<number, number> = { map: (n) => n, ...fn }
    return JobDriver.start(defineJob('refused', (env) => void env.fromElements<number>().uid('in').map(map).uid('m').collect('out')))
  }

  it('name the operator when initializeState throws', async () => {
    const failing = start({
      initializeState: () => {
        throw new Error('no')
      },
    })
    await expect(failing).rejects.toThrowError(/USER_FUNCTION: initializeState threw \(no\)[\s\S]*uid m/)
  })

  it('one name for two kinds', async () => {
    const twice = start({
      initializeState(ctx) {
        ctx.getListState(SEEN)
        ctx.getUnionListState(SEEN)
      },
    })
    await expect(twice).rejects.toThrowError(/STATE_DESCRIPTOR.*"seen" is used in two ways/)
  })

  it('what cannot be serialised, at the snapshot', async () => {
    const driver = await start({ snapshotState: (ctx) => ctx.getListState(new ListStateDescriptor('f')).update([() => 1]) })
    await expect(driver.snapshot()).rejects.toThrowError(/STATE_UNSERIALISABLE[\s\S]*uid m/)
  })
})
