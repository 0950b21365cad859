import { describe, expect, it } from 'vitest'
import { FunctionInstances, type FunctionInstancesOptions } from '../../runtime/testing/index.js'
import { ManualWorld } from './mapping-world.js'

interface Numbered {
  readonly id: number
}

function pool(options: Partial<FunctionInstancesOptions> = {}) {
  const world = new ManualWorld()
  let created = 0
  const instances = new FunctionInstances((): Numbered => ({ id: ++created }), world, { reuse: 1, maxIdle: 10, retire: 0, ...options })
  const used = (ms = 0) =>
    instances.run(async ({ id }) => {
      await world.sleep(ms)
      return id
    })
  return { world, instances, used }
}

describe('FunctionInstances', () => {
  it('has one invocation at a time for each instance', async () => {
    const { world, instances, used } = pool()
    const both = Promise.all([used(10), used(20)])
    expect(instances.busy).toBe(2)
    await world.pass(15)
    expect([instances.busy, instances.idle]).toEqual([1, 1])
    const third = used(1)
    await world.pass(5)
    expect(await both).toEqual([1, 2])
    expect(await third).toBe(1)
    expect(instances.stats).toEqual({ created: 2, reused: 1, retired: 0, crashed: 0 })
  })

  it('takes the preferred one if it is idle, else any', async () => {
    const { world, instances } = pool({ reuse: 0 })
    const ran: Numbered[] = []
    const run = (preferred?: Numbered, ms = 0) =>
      instances.run(async (instance) => {
        ran.push(instance)
        await world.sleep(ms)
      }, preferred)
    void run()
    await world.pass(1)
    const [first] = ran
    void run(first, 10)
    await world.pass(1)
    void run(first)
    await world.pass(20)
    expect(ran.map(({ id }) => id)).toEqual([1, 1, 2])
    instances.crash(first)
    void run(first)
    await world.pass(1)
    expect(ran.at(-1)?.id).toBe(3)
    expect(instances.stats).toEqual({ created: 3, reused: 1, retired: 0, crashed: 1 })
  })

  it('takes any of the idle ones, by chance', async () => {
    const { world, used } = pool()
    const all = Promise.all([used(), used(), used()])
    await world.pass(0)
    await all
    const taken: number[] = []
    for (const chance of [0.5, 0, 0.99]) {
      world.script.push(0, chance)
      const next = used()
      await world.pass(0)
      taken.push(await next)
    }
    // Idle: 1 2 3, then 1 3 2, then 3 2 1.
    expect(taken).toEqual([2, 1, 1])
  })

  it('makes a new one, though others are idle, as often as told', async () => {
    const { world, instances, used } = pool({ reuse: 0.5 })
    const runWith = async (chance: number) => {
      world.script.push(chance)
      const next = used()
      await world.pass(0)
      return next
    }
    const first = used()
    await world.pass(0)
    expect(await first).toBe(1)
    expect(await runWith(0.5)).toBe(2)
    await runWith(0.49)
    expect(instances.stats).toMatchObject({ created: 2, reused: 1 })
  })

  it('keeps no more idle ones than told, and retires by chance', async () => {
    const { world, instances, used } = pool({ maxIdle: 1 })
    const both = Promise.all([used(), used()])
    await world.pass(0)
    await both
    expect([instances.idle, instances.stats.retired]).toEqual([1, 1])
    const mortal = pool({ retire: 1 })
    const one = mortal.used()
    await mortal.world.pass(0)
    await one
    expect([mortal.instances.idle, mortal.instances.stats.retired]).toEqual([0, 1])
  })

  it('keeps an instance the invocation of which rejects', async () => {
    const { instances } = pool()
    await expect(instances.run(() => Promise.reject(new Error('user')))).rejects.toThrow('user')
    await instances.run(async ({ id }) => expect(id).toBe(1))
  })

  it('never takes one again that crashed, busy or idle', async () => {
    const { instances } = pool()
    const crashing = instances.run(async (instance) => {
      instances.crash(instance)
      expect(instances.busy).toBe(0)
      throw new Error('ended')
    })
    await expect(crashing).rejects.toThrow('ended')
    expect(instances.idle).toBe(0)
    const second = await instances.run(async (instance) => instance)
    expect(second.id).toBe(2)
    instances.crash(second)
    instances.crash(second)
    await instances.run(async ({ id }) => expect(id).toBe(3))
    expect(instances.stats.crashed).toBe(2)
  })

  it('retires the idle ones, and not those that are busy', async () => {
    const { world, instances, used } = pool()
    const first = used()
    const slow = used(100)
    await world.pass(50)
    await first
    instances.retireIdle()
    await world.pass(50)
    expect(await slow).toBe(2)
    await instances.run(async ({ id }) => expect(id).toBe(2))
    expect(instances.stats).toEqual({ created: 2, reused: 1, retired: 1, crashed: 0 })
  })

  it('refuses what is not a probability', () => {
    expect(() => pool({ reuse: 2 })).toThrow('OPTION_INVALID')
    expect(() => pool({ retire: Number.NaN })).toThrow('OPTION_INVALID')
  })
})
