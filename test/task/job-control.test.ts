import { describe, expect, it } from 'vitest'
import type { ManifestRef } from '../../runtime/checkpoint/job-record.js'
import type { MillraceError } from '../../runtime/core/index.js'
import type { JobGraph } from '../../runtime/plan/index.js'
import { pack, packChecked, unpack } from '../../runtime/state/index.js'
import { decodeCommit } from '../../runtime/task/commit-record.js'
import { JobControl } from '../../runtime/task/job-control.js'
import { subtaskLogName } from '../../runtime/task/stage-names.js'
import { Crash, clicksGraph, JOB, JobWorld, joinGraph } from './job-world.js'

const GRAPH = clicksGraph()
const FRESH = { from: null, expected: 0 } as const
const CHILD = { splitId: 's2', parents: ['s0'] }

async function activated(): Promise<JobWorld> {
  const world = new JobWorld()
  world.streams.create('clicks', ['s0', 's1'])
  await world.control().activate(FRESH)
  world.pokes.take()
  return world
}

/** A checkpoint that everybody acknowledges. */
async function completed(world: JobWorld, kind: 'checkpoint' | 'savepoint' | 'stop' = 'checkpoint', graph: JobGraph = GRAPH): Promise<ManifestRef> {
  const control = world.control(graph)
  await control.begin(kind)
  await world.acknowledge(graph)
  const progress = await control.poll()
  if (progress.status !== 'completed') throw new Error(progress.status)
  return progress.ref
}

function poked(world: JobWorld): string[] {
  return world.pokes.take().map(({ target }) => `${target.stage}/${target.subtask}`)
}

async function lives(world: JobWorld, revision: string, ...names: string[]): Promise<(string | undefined)[]> {
  const heads = await Promise.all(names.map((name) => world.head(revision, name.split('/')[0], name.split('/')[1])))
  return heads.map((head) => head && `${head.life} ${head.attempt}`)
}

/** Logs whose control item was written since, in their order by name. */
function notedControls(world: JobWorld): { readonly log: string; readonly expires: boolean }[] {
  const noted: { readonly log: string; readonly expires: boolean }[] = []
  const putControl = world.log.putControl.bind(world.log)
  world.log.putControl = async (log, control) => {
    noted.push({ log, expires: control.expiresAtMs !== undefined })
    noted.sort((a, b) => (a.log < b.log ? -1 : 1))
    return putControl(log, control)
  }
  return noted
}

const ALL = ['count/0', 'count/1', 'out/0', 'out/1', 'clicks/s0', 'clicks/s1']

describe('activating a job', () => {
  it('resets receivers before senders, fences sinks before sources, then tells and pokes everybody', async () => {
    const world = new JobWorld()
    world.streams.create('clicks', ['s0', 's1'])
    const order: string[] = []
    const record = await world
      .control(GRAPH, 'r1', { fenceSinks: async (attempt, writers) => void order.push(`fence ${attempt} ${writers} at ${world.crashes.calls}`) })
      .activate(FRESH)
    expect(record).toMatchObject({ attempt: 1, phase: 'running', begun: 0, from: null, nextOrdinal: 2 })
    const appends = world.crashes.seen.filter((call) => call.startsWith('log.append'))
    expect(appends).toEqual(['out/1', 'out/0', 'count/1', 'count/0', 'clicks/s0', 'clicks/s1'].map((name) => `log.append(clicks/r1/${name})`))
    const fence = Number(order[0].split(' at ')[1])
    expect(order).toEqual([`fence 1 2 at ${fence}`])
    expect(world.crashes.seen.slice(0, fence).some((call) => call.includes('append(clicks/r1/clicks'))).toBe(false)
    expect(poked(world)).toEqual(ALL)
    expect(await world.told('r1', 'count', '0')).toEqual({ attempt: 1, begun: 0, stop: false, savepoint: false, aborted: 0, completed: 0 })
    const { item } = await world.log.head('clicks/r1/count/1')
    expect(item?.expiresAtMs).toBe(1_000 + 3 * 86_400_000)
    expect(await world.head('r1', 'count', '1')).toMatchObject({ kind: 'RESET', life: 'running', attempt: 1, epoch: 0, index: 1, position: null })
  })

  it('is refused when the job has moved on, and when its state would be lost', async () => {
    const world = await activated()
    expect((await world.control().activate(FRESH)).attempt).toBe(1)
    expect((await world.control().activate({ from: null })).attempt).toBe(1)
    const ref = await completed(world)
    expect((await world.control().activate({ from: ref, expected: 1 })).attempt).toBe(2)
    await expect(world.control().activate(FRESH)).rejects.toThrow(/ACTIVATION_REFUSED[\s\S]*attempt 2, and attempt 0/)
    await expect(world.control().activate({ from: null })).rejects.toThrow(/ACTIVATION_REFUSED[\s\S]*all its state would be lost/)
    await expect(world.control(GRAPH, 'r2').activate({ from: ref })).rejects.toThrow(/revision "r1" of the job is active/)
    expect((await world.job()).attempt).toBe(2)
  })

  it('begins with the attempt it is told to, and may be repeated though it is told another by then', async () => {
    const world = new JobWorld()
    world.streams.create('clicks', ['s0', 's1'])
    const control = (firstAttempt: number) => world.control(GRAPH, 'r1', { firstAttempt })
    expect((await control(700).activate(FRESH)).attempt).toBe(700)
    expect(world.fenced).toEqual([[700, 2]])
    expect((await control(701).activate(FRESH)).attempt).toBe(700)
    expect((await control(702).activate({ from: null })).attempt).toBe(700)
    expect(await world.head('r1', 'clicks', 's0')).toMatchObject({ attempt: 700 })
    const from = await completed(world)
    expect((await control(800).activate({ from, expected: 700 })).attempt).toBe(701)
    await expect(control(800).activate(FRESH)).rejects.toThrow(/attempt 701, and attempt 0 was to be superseded/)
  })

  it('gives way to an activation that came later, wherever it stands', async () => {
    const world = await activated()
    const ref = await completed(world)
    const calls = world.crashes.calls
    await world.control().activate({ from: ref, expected: 1 })
    const length = world.crashes.calls - calls
    let superseded = 0
    for (let at = 0; at < length; at++) {
      const other = await activated()
      const from = await completed(other)
      const late = other.crashes.calls + at
      const control = other.control()
      const { log } = control.options.ports
      // At its call `at` the whole of another restore comes between.
      let done = false
      const between = async (): Promise<void> => {
        if (done || other.crashes.calls < late) return
        done = true
        await other.control().activate({ from, expected: (await other.job()).attempt })
      }
      const slow = {
        ...control.options.ports,
        log: new Proxy(log, {
          get:
            (target, key) =>
            async (...args: never[]) => {
              await between()
              return Reflect.get(target, key).apply(target, args)
            },
        }),
      }
      const outcome = await new JobControl({ ...control.options, ports: slow }).activate({ from, expected: 1 }).then(
        ({ attempt }) => attempt,
        (error: MillraceError) => error.code,
      )
      const { attempt, phase } = await other.job()
      expect(phase).toBe('running')
      // Before it has begun it is refused, or is told of the other's; behind that it is outdone.
      expect(done ? [2, 3, 'ACTIVATION_REFUSED'] : [2]).toContain(outcome)
      if (done) superseded++
      expect(await lives(other, 'r1', ...ALL)).toEqual(ALL.map(() => `running ${attempt}`))
    }
    expect(superseded).toBeGreaterThan(length / 2)
  })
})

describe('checkpoints', () => {
  it('begin at the sources, complete when all have acknowledged, and tell everybody', async () => {
    const world = await activated()
    const control = world.control()
    expect(await control.begin('checkpoint')).toEqual({ status: 'begun', checkpointId: 1 })
    expect(poked(world)).toEqual(['clicks/s0', 'clicks/s1'])
    expect(await world.told('r1', 'clicks', 's0')).toMatchObject({ begun: 1, stop: false })
    expect(await world.told('r1', 'count', '0')).toMatchObject({ begun: 0 })
    expect(await control.begin('savepoint')).toEqual({ status: 'refused', why: 'checkpoint 1 is in progress', pending: 1 })
    await world.acknowledge(GRAPH, undefined, ['s1'])
    expect(await control.poll()).toEqual({ status: 'pending', checkpointId: 1, acknowledged: 5, needed: 6 })
    expect(await world.checkpoints.ids()).toEqual([])
    await world.acknowledge(GRAPH)
    expect(await control.poll()).toEqual({ status: 'completed', checkpointId: 1, ref: { checkpointId: 1, savepoint: false }, path: 'mem/chk-1' })
    expect(poked(world)).toEqual(['out/0', 'out/1'])
    expect(await world.told('r1', 'count', '0')).toMatchObject({ begun: 1, completed: 1 })
    const manifest = await world.checkpoints.load(1)
    expect(manifest).toMatchObject({ job: JOB, kind: 'checkpoint', attempt: 1, createdAtMs: 1_000 })
    const [source, tag, count] = manifest.operators
    expect(source).toMatchObject({ uid: 'clicks', parallelism: 2 })
    expect(source.subtasks[1]).toEqual({ subtask: 1, keyed: [], operatorState: [{ splitId: 's1', position: '11', successors: [], ended: false }] })
    expect(tag.subtasks.map(({ operatorState }) => operatorState)).toEqual([['tag of s0'], ['tag of s1']])
    expect(count.subtasks.map(({ keyed }) => keyed.length)).toEqual([1, 1])
    expect(await control.poll()).toEqual({ status: 'idle', phase: 'running', completed: 1, aborted: 0 })
  })

  it('time out, and what is aborted never completes', async () => {
    const world = await activated()
    const control = world.control()
    await control.begin('checkpoint')
    world.clock.set(61_000)
    expect(await control.poll()).toEqual({ status: 'aborted', checkpointId: 1, why: 'it was not complete after 60000 ms' })
    expect(poked(world).slice(-6)).toEqual(ALL)
    expect(await world.told('r1', 'out', '1')).toMatchObject({ begun: 1, aborted: 1 })
    expect(await control.abort(1, 'again')).toEqual({ status: 'aborted' })
    expect(await control.begin('checkpoint')).toEqual({ status: 'begun', checkpointId: 2 })
    expect(await control.abort(1, 'late')).toEqual({ status: 'aborted' })
    expect((await world.job()).pending?.id).toBe(2)
    expect(await control.abort(3, 'early')).toEqual({ status: 'refused', why: 'checkpoint 3 is not pending' })
    await world.acknowledge(GRAPH)
    world.clock.set(200_000)
    // All have acknowledged: it is too late to give up.
    expect(await control.poll()).toMatchObject({ status: 'completed', checkpointId: 2 })
    expect(await world.checkpoints.ids()).toEqual([2])
    expect(await control.abort(2, 'late')).toMatchObject({ status: 'refused' })
  })

  it('tell and poke again those that do not answer, and the ended splits that are to begin others', async () => {
    const world = await activated()
    const control = world.control(GRAPH, 'r1', { repairAfterMs: 10 })
    await control.begin('checkpoint')
    await world.end(GRAPH, 'clicks', 's0', 0, [CHILD])
    await world.acknowledge(GRAPH, undefined, ['s0', '1'])
    poked(world)
    await control.poll()
    expect(poked(world)).toEqual([])
    world.clock.set(1_010)
    await control.poll()
    expect(poked(world)).toEqual(['count/1', 'out/1', 'clicks/s0'])
    // The older it is the more seldom: 10 of 1,000 ms are a hundredth.
    world.clock.set(2_000)
    world.chance = 0.011
    await control.poll()
    expect(poked(world)).toEqual([])
    world.chance = 0.009
    await control.poll()
    expect(poked(world)).toEqual(['count/1', 'out/1', 'clicks/s0'])
  })

  it('count an end for later checkpoints only, and have it in the manifest', async () => {
    const world = await activated()
    const control = world.control()
    await control.begin('checkpoint')
    await world.end(GRAPH, 'clicks', 's0', 1, [CHILD])
    await world.acknowledge(GRAPH, undefined, ['s0'])
    expect(await control.poll()).toMatchObject({ status: 'pending', acknowledged: 5 })
    await control.abort(1, 'enough')
    await control.begin('checkpoint')
    await world.acknowledge(GRAPH, undefined, ['s0'])
    expect(await control.poll()).toMatchObject({ status: 'completed', checkpointId: 2 })
    const [source, tag] = (await world.checkpoints.load(2)).operators
    expect(source.subtasks[0]).toMatchObject({ ended: true, operatorState: [{ splitId: 's0', ended: true, successors: [CHILD] }] })
    expect([tag.subtasks[0].ended, tag.subtasks[1].ended]).toEqual([true, undefined])
  })

  it('do not need a split that registers behind their beginning', async () => {
    const world = await activated()
    const control = world.control()
    await control.begin('checkpoint')
    const registration = { attempt: 1, revision: 'r1', stage: 'clicks', split: CHILD }
    expect(await JobControl.register(world.ports, JOB, registration)).toEqual({ epoch: 1, ordinal: 2, stopped: false })
    expect(await JobControl.register(world.ports, JOB, registration)).toEqual({ epoch: 1, ordinal: 2, stopped: false })
    expect(await JobControl.register(world.ports, JOB, { ...registration, attempt: 2 })).toEqual({ refused: 'the job is at attempt 1' })
    await world.acknowledge(GRAPH)
    expect(await control.poll()).toMatchObject({ status: 'completed' })
    await control.begin('checkpoint')
    expect((await world.job()).pending?.need).toContain(7)
  })

  it('keep savepoints among them, which are not dropped with the older ones', async () => {
    const world = await activated()
    const savepoint = await completed(world, 'savepoint')
    for (let i = 0; i < 3; i++) await completed(world)
    await world.checkpoints.retain(1)
    expect(await world.checkpoints.ids()).toEqual([1, 4])
    expect((await world.checkpoints.list()).map(({ id, kind, status }) => [id, kind, status])).toEqual([
      [1, 'savepoint', 'valid'],
      [4, 'checkpoint', 'valid'],
    ])
    expect((await world.control().activate({ from: savepoint })).attempt).toBe(2)
  })

  it('leave a manifest of another job alone', async () => {
    const world = await activated()
    const control = world.control()
    await control.begin('checkpoint')
    await world.acknowledge(GRAPH)
    await world.blobs.put('chk-1/manifest.json', new TextEncoder().encode('not ours'))
    await expect(control.poll()).rejects.toThrow(/CHECKPOINT_CORRUPT/)
    expect(await world.job()).toMatchObject({ completed: 0, pending: { completing: true } })
    await world.blobs.delete('chk-1/manifest.json')
    await world.checkpoints.complete({ format: 1, job: JOB, checkpointId: 1, kind: 'checkpoint', createdAtMs: 0, attempt: 9, operators: [] })
    await expect(control.poll()).rejects.toThrow(/CHECKPOINT_FAILED/)
    await world.blobs.delete('chk-1/manifest.json')
    expect(await control.poll()).toMatchObject({ status: 'completed' })
  })
})

describe('a restore', () => {
  it('puts state, positions and channels of the checkpoint into the logs, under a new attempt', async () => {
    const world = await activated()
    const from = await completed(world)
    await world.commit('r1', 'count', '0', { position: '77', epoch: 1, lastNow: 500 })
    await world.commit('r1', 'clicks', 's0', { position: '99', epoch: 1 })
    await world.control().begin('checkpoint')
    const record = await world.control().activate({ from, expected: 1 })
    expect(record).toMatchObject({ attempt: 2, begun: 2, aborted: 2, completed: 1, pending: null, leaving: [] })
    expect(world.fenced.at(-1)).toEqual([2, 2])
    const count = await world.head('r1', 'count', '0')
    expect(count).toMatchObject({ attempt: 2, kind: 'RESET', position: '77', lastNow: 500, epoch: 2 })
    const [ref, ...others] = (await world.base('r1', 'count', '0')).keyed.get('count') ?? []
    expect(ref).toMatchObject({ bytes: 9 })
    expect([ref.keyGroups, others]).toEqual([undefined, []])
    expect(Object.keys(count?.channels ?? {})).toEqual(['0:s0', '0:s1'])
    const source = await world.head('r1', 'clicks', 's0')
    expect(source).toMatchObject({ attempt: 2, position: '11', epoch: 2, index: 0 })
    expect(await world.base('r1', 'clicks', 's0')).toEqual({ keyed: new Map(), operatorStates: new Map([['tag', ['tag of s0']]]) })
    expect(await world.told('r1', 'clicks', 's0')).toEqual({ attempt: 2, begun: 2, stop: false, savepoint: false, aborted: 2, completed: 1 })
  })

  it('retires a split that is to begin again, and begins one whose parents had ended', async () => {
    const world = await activated()
    world.streams.stream('clicks').reshard(['s0'], ['s2'])
    world.streams.stream('clicks').reshard(['s1'], ['s3'])
    const control = world.control()
    await control.begin('checkpoint')
    // s0 ends before the barrier, s1 behind it.
    await world.end(GRAPH, 'clicks', 's0', 0, [CHILD])
    await world.acknowledge(GRAPH, undefined, ['s0'])
    await JobControl.register(world.ports, JOB, { attempt: 1, stage: 'clicks', split: CHILD })
    await JobControl.register(world.ports, JOB, { attempt: 1, stage: 'clicks', split: { splitId: 's3', parents: ['s1'] } })
    await control.poll()
    const record = await control.activate({ from: { checkpointId: 1, savepoint: false }, expected: 1 })
    expect(Object.keys(record.sources.clicks)).toEqual(['s0', 's1', 's2'])
    expect(await lives(world, 'r1', 'clicks/s0', 'clicks/s1', 'clicks/s2', 'clicks/s3')).toEqual(['ended 2', 'running 2', 'running 2', 'retired 2'])
    expect(await world.head('r1', 'clicks', 's2')).toMatchObject({ position: null, index: 2 })
    expect((await world.head('r1', 'count', '0'))?.channels).toMatchObject({
      '0:s0': { successors: [] },
      '0:s1': { successors: null },
      '0:s2': { successors: null },
    })
    // The one that had ended is counted in this attempt too.
    await control.begin('checkpoint')
    await world.acknowledge(GRAPH, undefined, ['s0'])
    expect(await control.poll()).toMatchObject({ status: 'completed', checkpointId: 2 })
    expect((await world.checkpoints.load(2)).operators[1].subtasks[0]).toMatchObject({ ended: true, operatorState: ['tag of s0'] })
  })

  it('of a job that had ended leaves it ended, state and all', async () => {
    const world = await activated()
    await world.control().begin('savepoint')
    for (const name of ALL) await world.end(GRAPH, name.split('/')[0], name.split('/')[1], 0)
    await world.control().poll()
    await world.control().activate({ from: { checkpointId: 1, savepoint: true }, expected: 1 })
    expect(await lives(world, 'r1', ...ALL)).toEqual(ALL.map(() => 'ended 2'))
    expect((await world.base('r1', 'count', '1')).keyed.get('count')).toHaveLength(1)
    await world.control().begin('checkpoint')
    expect(await world.control().poll()).toMatchObject({ status: 'completed', checkpointId: 2 })
    const before = await world.checkpoints.load(1)
    expect((await world.checkpoints.load(2)).operators).toEqual(before.operators)
  })

  it('finishes a checkpoint that was being completed', async () => {
    const world = await activated()
    await world.control().begin('checkpoint')
    await world.acknowledge(GRAPH)
    const { ports } = world.control().options
    const failing = {
      ...ports,
      checkpoints: new Proxy(ports.checkpoints, {
        get: (target, key) => (key === 'ensure' ? () => Promise.reject(new Crash()) : Reflect.get(target, key)),
      }),
    }
    await expect(new JobControl({ ...world.control().options, ports: failing }).poll()).rejects.toThrow(Crash)
    expect((await world.job()).pending?.completing).toBe(true)
    await world.control().activate({ from: { checkpointId: 1, savepoint: false }, expected: 1 })
    expect(await world.job()).toMatchObject({ attempt: 2, completed: 1, aborted: 0 })
  })

  it('under another parallelism deals state by key group, retires the old revision, and takes it back after a roll-back', async () => {
    const world = await activated()
    const wide = clicksGraph(3)
    await world.commit('r1', 'count', '0', { position: '77' })
    const from = await completed(world, 'stop')
    expect((await world.job()).phase).toBe('stopped')
    const first = { job: JOB, revision: 'r1', plan: 'plan-r1', graph: GRAPH }
    const told = notedControls(world)
    await world.control(wide, 'r2').activate({ from, expected: 1, retire: first })
    expect(await lives(world, 'r1', ...ALL)).toEqual(ALL.map(() => 'retired 2'))
    expect(await lives(world, 'r2', ...ALL, 'count/2', 'out/2')).toEqual([...ALL, '', ''].map(() => 'running 2'))
    // What the old revision's subtasks were told last goes when their logs do; the new one's stays.
    expect(told.filter(({ expires }) => expires).map(({ log }) => log)).toEqual(ALL.map((name) => `clicks/r1/${name}`).sort())
    expect(told.filter(({ expires, log }) => !expires && log.includes('/r2/'))).toHaveLength(ALL.length + 2)
    const middle = await world.head('r2', 'count', '1')
    expect(middle).toMatchObject({ position: null, plan: 'plan-r2' })
    expect((await world.base('r2', 'count', '1')).keyed.get('count')?.map(({ keyGroups }) => keyGroups)).toEqual([
      { first: 43, last: 63 },
      { first: 64, last: 85 },
    ])
    expect(await world.control().begin('checkpoint')).toMatchObject({ status: 'refused', why: expect.stringContaining('revision "r2"') })
    expect(await JobControl.register(world.ports, JOB, { attempt: 2, revision: 'r1', stage: 'clicks', split: CHILD })).toEqual({
      refused: 'the job is at revision r2',
    })
    await world.control().activate({ from, expected: 2, retire: { job: JOB, revision: 'r2', plan: 'plan-r2', graph: wide } })
    expect(await lives(world, 'r1', ...ALL)).toEqual(ALL.map(() => 'running 3'))
    expect(await lives(world, 'r2', ...ALL, 'count/2', 'out/2')).toEqual([...ALL, '', ''].map(() => 'retired 3'))
    expect(await world.head('r1', 'count', '0')).toMatchObject({ position: '77' })
    expect(world.fenced.at(-1)).toEqual([3, 3])
  })

  describe('over logs of another format', () => {
    const REST = { kind: 'of whatever shape' }

    async function otherFormat(attempt: number): Promise<JobWorld> {
      const world = await activated()
      for (const name of ALL) {
        const log = `clicks/r1/${name}`
        const version = (await world.log.head(log)).item?.version ?? 0
        await world.log.append(log, { version: version + 1, payload: packChecked([9, 'plan-r1', attempt, REST]) })
      }
      return world
    }

    it('retires and resets them, from the last state', async () => {
      const world = await activated()
      await completed(world)
      for (const name of ALL) await world.log.append(`clicks/r1/${name}`, { version: 2, payload: packChecked([9, 'plan-r1', 1, REST]) })
      const wide = clicksGraph(3)
      const retire = { job: JOB, revision: 'r1', plan: 'plan-r1', graph: GRAPH }
      const record = await world.control(wide, 'r2').activate({ from: 'last-state', expected: 1, retire })
      expect(record).toMatchObject({ attempt: 2, from: { checkpointId: 1, savepoint: false } })
      expect(await lives(world, 'r1', ...ALL)).toEqual(ALL.map(() => 'retired 2'))
      for (const name of ALL) await world.log.append(`clicks/r2/${name}`, { version: 2, payload: packChecked([9, 'plan-r2', 2, REST]) })
      // A retired log, of a format that is newer to who takes the job back.
      await world.log.append('clicks/r1/count/0', { version: 4, payload: packChecked([9, 'plan-r1', 2, REST]) })
      await world.control().activate({ from: record.from, expected: 2, retire: { job: JOB, revision: 'r2', plan: 'plan-r2', graph: wide } })
      expect(await lives(world, 'r1', ...ALL)).toEqual(ALL.map(() => 'running 3'))
      expect(await lives(world, 'r2', ...ALL)).toEqual(ALL.map(() => 'retired 3'))
    })

    it('stops when one is of a later attempt, and when one is no commit', async () => {
      const later = await otherFormat(5)
      await expect(later.control().activate({ from: 'last-state', expected: 1 })).rejects.toThrow(/ACTIVATION_REFUSED[\s\S]*attempt 5 has begun/)
      const none = await activated()
      await none.log.append('clicks/r1/count/0', { version: 2, payload: packChecked({ 0: 9, 2: 1 }) })
      await expect(none.control().activate({ from: 'last-state', expected: 1 })).rejects.toThrow(/LOG_CORRUPT/)
    })
  })

  it('from the last state, which is what the attempt began with until it has saved something itself', async () => {
    const world = await activated()
    const first = await completed(world)
    await completed(world)
    await world.control().activate({ from: first, expected: 1 })
    // The same call again, whatever has become of it.
    for (let calls = 0; calls < 2; calls++) {
      expect(await world.control().activate({ from: 'last-state', expected: 2 })).toMatchObject({ attempt: 3, from: first, completed: 2 })
    }
    const newer = await completed(world, 'savepoint')
    expect(newer).toEqual({ checkpointId: 3, savepoint: true })
    expect(await world.control().activate({ from: 'last-state', expected: 3 })).toMatchObject({ attempt: 4, from: newer })
    const empty = await activated()
    expect(await empty.control().activate({ from: 'last-state', expected: 1 })).toMatchObject({ attempt: 2, from: null })
  })

  it('into another job copies the segments and touches nothing of the first', async () => {
    const world = await activated()
    const ref = await completed(world, 'savepoint')
    const blobs = await world.blobs.list('')
    const fork = new JobWorld()
    fork.streams.create('clicks', ['s0', 's1'])
    const graph = { ...GRAPH, job: 'clicks-fork' }
    const from = { ...ref, root: 'elsewhere' }
    await expect(fork.control(graph).activate({ from, expected: 0 })).rejects.toThrow(/CHECKPOINT_NOT_FOUND/)
    await fork.control(graph).activate({ from, expected: 0, store: world.checkpoints })
    expect(await fork.job('clicks-fork')).toMatchObject({ attempt: 1, begun: 1, from })
    const [ref0] = (await fork.base('r1', 'count', '0', 'clicks-fork')).keyed.get('count') ?? []
    expect(await fork.checkpoints.readSegment(ref0)).toEqual(new TextEncoder().encode('count 0 1'))
    expect(await world.blobs.list('')).toEqual(blobs)
    expect((await world.job()).attempt).toBe(1)
  })

  it('refuses state that the plan has no place for before anything is done', async () => {
    const world = await activated()
    const from = await completed(world)
    const without = { ...GRAPH, vertices: GRAPH.vertices.map((v) => ({ ...v, operators: v.operators.filter(({ uid }) => uid !== 'tag') })) }
    await expect(world.control(without).activate({ from, expected: 1 })).rejects.toThrow(/CHECKPOINT_OTHER_JOB[\s\S]*"tag"/)
    expect(await world.job()).toMatchObject({ attempt: 1, phase: 'running' })
    expect((await world.control(without).activate({ from, expected: 1, allowNonRestoredState: true })).attempt).toBe(2)
  })

  it('gives a new source of a changed job its oldest splits', async () => {
    const world = await activated()
    world.streams.create('left', ['l0'])
    world.streams.create('right', ['r0'])
    world.streams.stream('right').reshard(['r0'], ['r1', 'r2'])
    const from = await completed(world, 'stop')
    const retire = { job: JOB, revision: 'r1', plan: 'plan-r1', graph: GRAPH }
    const record = await world.control(joinGraph(), 'r2').activate({ from, expected: 1, retire, allowNonRestoredState: true })
    expect(record.sources).toMatchObject({ left: { l0: { ordinal: 0 } }, right: { r0: { ordinal: 1 } } })
  })
})

describe('whatever call is cut off, the repeat comes to the same end', () => {
  /** Everything that the coordinator does to a job, each step repeated until it has not crashed. */
  async function life(world: JobWorld): Promise<void> {
    world.streams.create('clicks', ['s0', 's1'])
    const wide = clicksGraph(3)
    const step = async (act: () => Promise<unknown>): Promise<void> => {
      try {
        await act()
      } catch (error) {
        if (!(error instanceof Crash)) throw error
        await act()
      }
    }
    const complete = (graph: JobGraph, revision?: string) => async () => {
      const progress = await world.control(graph, revision).poll()
      expect(progress.status === 'idle' ? progress.completed : progress.status === 'completed' && progress.checkpointId).toBe(
        (await world.job()).begun,
      )
    }
    await step(() => world.control().activate(FRESH))
    await step(() => world.control().begin('checkpoint'))
    await world.acknowledge(GRAPH)
    await step(complete(GRAPH))
    await world.commit('r1', 'count', '0', { position: '77' })
    await step(() => world.control().begin('savepoint'))
    world.streams.stream('clicks').reshard(['s0'], ['s2'])
    await step(() => JobControl.register(world.ports, JOB, { attempt: 1, stage: 'clicks', split: CHILD }))
    await step(async () => expect(await world.control().abort(2, 'enough')).toEqual({ status: 'aborted' }))
    await step(() => world.control().begin('checkpoint'))
    world.clock.set(100_000)
    await step(() => world.control().poll())
    expect((await world.job()).aborted).toBe(3)
    await step(() => world.control().activate({ from: { checkpointId: 1, savepoint: false }, expected: 1 }))
    await step(() => world.control().begin('stop'))
    await world.end(GRAPH, 'clicks', 's0', 3, [CHILD])
    await world.acknowledge(GRAPH, undefined, ['s0'])
    await step(complete(GRAPH))
    expect((await world.job()).phase).toBe('stopped')
    const retire = { job: JOB, revision: 'r1', plan: 'plan-r1', graph: GRAPH }
    await step(() => world.control(wide, 'r2').activate({ from: { checkpointId: 4, savepoint: true }, expected: 2, retire }))
    await step(() => world.control(wide, 'r2').begin('checkpoint'))
    await world.acknowledge(wide, undefined, ['s0'])
    await step(complete(wide, 'r2'))
  }

  /** All that has been written. */
  async function written(world: JobWorld): Promise<unknown> {
    const logs: Record<string, unknown> = {}
    for (const name of world.log.names) {
      const { items, control } = await world.log.read(name, 0)
      const values = items.map((item) => (name.includes('#') ? unpack(item.payload) : decodeCommit(name, item)))
      logs[name] = {
        versions: items.map(({ version }) => version),
        values,
        control: name.includes('#job') ? await world.job() : control && [control.serial, unpack(control.payload)],
      }
    }
    const blobs = await Promise.all((await world.blobs.list('')).map(async (name) => [name, await world.blobs.get(name)]))
    return { logs, blobs }
  }

  it('at every single call of a port, before its effect and after', { timeout: 120_000 }, async () => {
    const whole = new JobWorld()
    await life(whole)
    const expected = await written(whole)
    const packed = Buffer.from(pack(expected))
    const targets = new Set(poked(whole))
    const { calls, seen } = whole.crashes
    expect(calls).toBeGreaterThan(150)
    for (const when of ['before', 'after'] as const) {
      for (let at = 0; at < calls; at++) {
        // What only reads has no effect to be before or after.
        if (when === 'after' && !/^\w+\.(append|put|putControl|poke)\(/.test(seen[at])) continue
        const world = new JobWorld()
        Object.assign(world.crashes, { at, when })
        await life(world)
        const found = await written(world)
        // Comparing everything value by value takes its time.
        if (!packed.equals(pack(found))) expect(found, `${when} call ${at}: ${seen[at]}`).toEqual(expected)
        expect(new Set(poked(world))).toEqual(targets)
      }
    }
  })

  it('when its own replacement of the record is reported as lost', async () => {
    const world = await activated()
    const { options } = world.control()
    const { log } = options.ports
    let lies = 1
    const lying = {
      ...options.ports,
      log: new Proxy(log, {
        get:
          (target, key) =>
          async (...args: never[]) => {
            const outcome = await Reflect.get(target, key).apply(target, args)
            return key === 'putControl' && String(args[0]).endsWith('#job') && lies-- > 0 ? 'lost' : outcome
          },
      }),
    }
    const control = new JobControl({ ...options, ports: lying })
    expect(await control.begin('checkpoint')).toEqual({ status: 'begun', checkpointId: 1 })
    expect(poked(world)).toEqual(['clicks/s0', 'clicks/s1'])
    await world.acknowledge(GRAPH)
    lies = 1
    expect(await control.poll()).toMatchObject({ status: 'completed' })
    lies = 1
    expect((await control.activate({ from: { checkpointId: 1, savepoint: false }, expected: 1 })).attempt).toBe(2)
    expect(await lives(world, 'r1', ...ALL)).toEqual(ALL.map(() => 'running 2'))
  })
})

describe('a log that is being written to while it is reset', () => {
  it('gets the RESET behind whatever was committed', async () => {
    const world = await activated()
    const from = await completed(world)
    const { options } = world.control()
    let late = 3
    const racing = {
      ...options.ports,
      log: new Proxy(options.ports.log, {
        get:
          (target, key) =>
          async (...args: never[]) => {
            if (key === 'append' && String(args[0]) === subtaskLogName({ job: JOB, revision: 'r1' }, 'count', '0') && late-- > 0) {
              await world.commit('r1', 'count', '0', { position: String(100 + late) })
            }
            return Reflect.get(target, key).apply(target, args)
          },
      }),
    }
    await new JobControl({ ...options, ports: racing }).activate({ from, expected: 1 })
    expect(await world.head('r1', 'count', '0')).toMatchObject({ attempt: 2, kind: 'RESET', position: '100', base: { version: 5 } })
    expect(await world.version('r1', 'count', '0')).toBe(5)
  })
})
