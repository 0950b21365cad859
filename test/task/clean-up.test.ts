import { describe, expect, it } from 'vitest'
import type { ManifestRef } from '../../runtime/checkpoint/job-record.js'
import { encodeBase } from '../../runtime/task/base-state.js'
import { type CleanedUp, type CleanUpOptions, cleanUp } from '../../runtime/task/clean-up.js'
import { endedPlace, loadAck, storeAck } from '../../runtime/task/stage-acks.js'
import { acksLogName, endedLogName } from '../../runtime/task/stage-names.js'
import { Crash, clicksGraph, JobWorld } from './job-world.js'

const GRAPH = clicksGraph()
const HOUR = 3_600_000

async function activated(): Promise<JobWorld> {
  const world = new JobWorld()
  world.streams.create('clicks', ['s0', 's1'])
  await world.control().activate({ from: null, expected: 0 })
  return world
}

async function completed(world: JobWorld, kind: 'checkpoint' | 'savepoint' = 'checkpoint'): Promise<ManifestRef> {
  const control = world.control()
  await control.begin(kind)
  await world.acknowledge(GRAPH)
  const progress = await control.poll()
  if (progress.status !== 'completed') throw new Error(progress.status)
  return progress.ref
}

function clean(world: JobWorld, change: Partial<CleanUpOptions> = {}): Promise<CleanedUp> {
  return cleanUp({ deployment: { job: GRAPH.job, revision: 'r1' }, graph: GRAPH, ports: world.ports, ...change })
}

function failing<B extends object>(blobs: B): B {
  return new Proxy(blobs, {
    get: (target, key) => (key === 'delete' ? () => Promise.reject(new Crash()) : (Reflect.get(target, key) as () => unknown).bind(target)),
  })
}

function pass(world: JobWorld, ms: number): void {
  world.clock.set(world.clock.now() + ms)
}

/** As the hourly tick does. */
async function cleanForHours(world: JobWorld, hours: number): Promise<void> {
  for (let i = 0; i < hours; i++) {
    await clean(world)
    pass(world, HOUR)
  }
}

/** Checkpoints whose segments stand in the folder. */
async function segmentsOf(world: JobWorld): Promise<number[]> {
  const ids = (await world.blobs.list('shared/')).map((name) => Number(name.split('-')[2]))
  return [...new Set(ids)].sort((a, b) => a - b)
}

describe('clean-up', () => {
  it('drops all checkpoints but the newest three and savepoints, at once, and their segments an hour later', async () => {
    const world = await activated()
    for (const kind of ['checkpoint', 'savepoint', 'checkpoint', 'checkpoint', 'checkpoint', 'checkpoint'] as const) await completed(world, kind)
    expect(await clean(world)).toEqual({ status: 'cleaned', dropped: [1, 3], deleted: 0, waiting: 4 })
    expect(await world.checkpoints.ids()).toEqual([2, 4, 5, 6])
    expect(await segmentsOf(world)).toEqual([1, 2, 3, 4, 5, 6])
    pass(world, HOUR - 1)
    expect(await clean(world)).toMatchObject({ dropped: [], deleted: 0, waiting: 4 })
    pass(world, 1)
    expect(await clean(world)).toMatchObject({ dropped: [], deleted: 4, waiting: 0 })
    expect(await segmentsOf(world)).toEqual([2, 4, 5, 6])
  })

  describe('of savepoints that nobody asked for', () => {
    it('drops those that it is told of, but for what the attempt began with and what it would go on from', async () => {
      const world = await activated()
      for (let i = 0; i < 3; i++) await completed(world, 'savepoint')
      await world.control().activate({ from: { checkpointId: 2, savepoint: true }, expected: 1 })
      expect(await clean(world, { expendable: [1, 2, 7] })).toMatchObject({ status: 'cleaned', dropped: [1] })
      expect(await world.checkpoints.ids()).toEqual([2, 3])
      const newest = await completed(world, 'savepoint')
      expect(await clean(world, { expendable: [1, 2, 3, newest.checkpointId] })).toMatchObject({ dropped: [3] })
      expect(await world.checkpoints.ids()).toEqual([2, 4])
      await cleanForHours(world, 3)
      expect(await segmentsOf(world)).toEqual([2, 4])
    })

    it('lets nothing begin with one that was dropped, and drops none that something has begun with', async () => {
      const world = await activated()
      for (let i = 0; i < 3; i++) await completed(world, 'savepoint')
      const { ports } = world
      // Its manifest is still there: the record counts.
      const cut = {
        ...ports,
        checkpoints: new Proxy(ports.checkpoints, { get: (target, key) => (key === 'blobs' ? failing(target.blobs) : Reflect.get(target, key)) }),
      }
      await expect(clean(world, { ports: cut, expendable: [1] })).rejects.toThrow(Crash)
      expect(await world.checkpoints.ids()).toEqual([1, 2, 3])
      await expect(world.control().activate({ from: { checkpointId: 1, savepoint: true }, expected: 1 })).rejects.toThrow('has been cleaned up')
      expect(await clean(world, { expendable: [1] })).toMatchObject({ dropped: [1] })
      await world.control().activate({ from: { checkpointId: 2, savepoint: true }, expected: 1 })
      expect(await clean(world, { expendable: [1, 2] })).toMatchObject({ dropped: [] })
    })

    it('leaves one alone that somebody has put at the root of the folder', async () => {
      const world = await activated()
      await completed(world, 'savepoint')
      await world.blobs.put('manifest.json', (await world.blobs.get('chk-1/manifest.json')) as Uint8Array)
      await world.blobs.delete('chk-1/manifest.json')
      await clean(world, { expendable: [1] })
      await cleanForHours(world, 3)
      expect(await segmentsOf(world)).toEqual([1])
    })
  })

  it('lets nothing begin with a checkpoint that was dropped, and keeps what the attempt began with', async () => {
    const world = await activated()
    const [first, second] = [await completed(world), await completed(world)]
    await world.control().activate({ from: second, expected: 1 })
    for (let i = 0; i < 4; i++) await completed(world)
    await cleanForHours(world, 3)
    expect((await world.job()).dropped).toBe(3)
    expect(await world.checkpoints.ids()).toEqual([2, 4, 5, 6])
    expect(await segmentsOf(world)).toEqual([2, 4, 5, 6])
    await expect(world.control().activate({ from: first, expected: 2 })).rejects.toThrow(/ACTIVATION_REFUSED[\s\S]*checkpoint 1 has been cleaned up/)
    expect((await world.control().activate({ from: second, expected: 2 })).phase).toBe('running')
  })

  it('keeps what logs begin with, what was acknowledged of a checkpoint under way, and what ended subtasks said', async () => {
    const world = await activated()
    const base = await world.segment('count', 0, 90)
    const state = encodeBase({ keyed: new Map([['count', [base]]]), operatorStates: new Map() })
    await world.commit('r1', 'count', '0', { base: { version: (await world.version('r1', 'count', '0')) + 1, atMs: 0, state } })
    // What counts is the base, wherever the head is.
    await world.commit('r1', 'count', '0', { base: { version: await world.version('r1', 'count', '0'), atMs: 0, state: null } })
    await world.end(GRAPH, 'count', '1', 91)
    await world.control().begin('checkpoint')
    await world.acknowledge(GRAPH, undefined, ['s0'])
    const orphan = await world.segment('count', 0, 92)
    await cleanForHours(world, 3)
    expect(await segmentsOf(world)).toEqual([1, 90, 91])
    expect(await world.blobs.get(orphan.name)).toBeUndefined()
  })

  it('keeps an end that is too large for the log in the folder, as long as the attempt lasts', async () => {
    const world = await activated()
    const record = await world.job()
    const scratch = await activated()
    await scratch.end(GRAPH, 'count', '1', 0)
    const [said] = (await scratch.log.read(endedLogName(record, 1), 0)).items
    const ack = await loadAck({ blobs: scratch.blobs, log: 'scratch' }, said)
    await world.segment('count', 1, 0)
    const payload = await storeAck(endedPlace(world.ports, 1, said.version, 10), ack, null)
    await world.log.append(endedLogName(record, 1), { version: said.version, payload })
    await cleanForHours(world, 3)
    const [part] = await world.blobs.list('ended/1/')
    expect(part).toBeDefined()
    await world.control().begin('checkpoint')
    await world.acknowledge(GRAPH, undefined, ['1'])
    await world.log.append(acksLogName(record, 1, 1), { version: 4, payload: said.payload })
    expect((await world.control().poll()).status).toBe('completed')
    await world.control().activate({ from: { checkpointId: 1, savepoint: false }, expected: 1 })
    await cleanForHours(world, 3)
    expect(await world.blobs.get(part)).toBeUndefined()
  })

  it('waits while the job is restored, and when another revision is active', async () => {
    const world = await activated()
    const ref = await completed(world)
    world.crashes.at = world.crashes.calls + 12
    await expect(world.control().activate({ from: ref, expected: 1 })).rejects.toThrow(Crash)
    expect((await world.job()).phase).toBe('restoring')
    expect(await clean(world)).toEqual({ status: 'not-now', why: 'the job is being restored' })
    const running = await activated()
    const other = { deployment: { job: GRAPH.job, revision: 'r2' } }
    expect(await clean(running, other)).toEqual({ status: 'not-now', why: 'another revision is active' })
    expect(await clean(running)).toMatchObject({ status: 'cleaned' })
  })

  it('deletes nothing while a manifest cannot be read, and says which', async () => {
    const world = await activated()
    for (let i = 0; i < 5; i++) await completed(world)
    await world.blobs.delete('chk-2/manifest.json')
    await world.blobs.put('chk-2/manifest.json', new TextEncoder().encode('{'))
    for (let hour = 0; hour < 3; hour++) {
      await expect(clean(world)).rejects.toThrow(/CHECKPOINT_CORRUPT[\s\S]*chk-2/)
      pass(world, HOUR)
    }
    expect(await segmentsOf(world)).toEqual([1, 2, 3, 4, 5])
  })

  it('deletes so many at most, the rest the next time', async () => {
    const world = await activated()
    for (let i = 0; i < 5; i++) await world.segment('count', 0, i)
    await clean(world)
    pass(world, HOUR)
    expect(await clean(world, { most: 3 })).toMatchObject({ deleted: 3, waiting: 2 })
    expect(await clean(world, { most: 3 })).toMatchObject({ deleted: 2, waiting: 0 })
  })

  it.each(['before', 'after'] as const)('may be cut off at any call, %s its effect, and be called again', async (when) => {
    let cuts = 0
    for (let at = 0; ; at++) {
      const world = await activated()
      for (let i = 0; i < 4; i++) await completed(world)
      await clean(world)
      pass(world, HOUR)
      await completed(world)
      world.crashes.at = world.crashes.calls + at
      world.crashes.when = when
      const cut = await clean(world).then(
        () => false,
        () => true,
      )
      world.crashes.at = -1
      await cleanForHours(world, 2)
      expect(await segmentsOf(world)).toEqual([3, 4, 5])
      expect(await world.checkpoints.ids()).toEqual([3, 4, 5])
      if (!cut) break
      cuts++
    }
    expect(cuts).toBeGreaterThan(20)
  })
})
