import { beforeEach, describe, expect, it } from 'vitest'
import type { StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { type Sink, valueState } from '../../runtime/index.js'
import { crashEverywhere, jsonStream, Outside, Stages, type StagesOptions, StageWorld, sortedJson } from './stage-world.js'

interface Payment {
  readonly account: string
  readonly n: number
}

/** The balance of each account behind each payment. */
function balances(outside: Outside, delivery?: Sink<unknown>['delivery']) {
  return (env: StreamExecutionEnvironment) => {
    jsonStream<Payment>(env, 'payments')
      .keyBy(({ account }) => account)
      .process({
        state: { balance: valueState<number>() },
        processElement({ account, n }, { state }, out: { collect(value: unknown): void }) {
          const balance = (state.balance.value() ?? 0) + n
          state.balance.update(balance)
          out.collect({ account, n, balance })
        },
      })
      .uid('balance')
      .sinkTo(outside.sink(delivery))
      .uid('out')
  }
}

function payments(from: number, to: number): Payment[] {
  return Array.from({ length: to - from }, (_, i) => ({ account: 'abcd'[(from + i) % 4], n: from + i }))
}

function booked(from: number, to: number) {
  const balances = new Map<string, number>()
  return payments(0, to)
    .map(({ account, n }) => {
      balances.set(account, (balances.get(account) ?? 0) + n)
      return { account, n, balance: balances.get(account) }
    })
    .slice(from)
}

function scene(delivery?: Sink<unknown>['delivery'], options: StagesOptions = {}) {
  const world = StageWorld.withStream('payments')
  const outside = new Outside()
  return { world, outside, stages: new Stages(world, balances(outside, delivery), options) }
}

let world: StageWorld
let outside: Outside
let stages: Stages

describe('a sink that gets each commit at once', () => {
  beforeEach(async () => {
    ;({ world, outside, stages } = scene())
    await stages.activate()
    stages.put('payments', 's0', ...payments(0, 4))
    await stages.comeToRest()
  })

  it.each([
    ['before it has done it', 'before', 0],
    ['after it has done it', 'after', 1],
  ] as const)('fails %s: the redelivered batch sends the same again, and it counts once', async (_, failNext, refused) => {
    stages.put('payments', 's0', ...payments(4, 8))
    await stages.takeBatch('payments', 's0')
    outside.failNext = failNext
    await expect(stages.takeBatch('balance', '0')).rejects.toMatchObject({ code: 'USER_FUNCTION' })
    expect(stages.acknowledged('balance', '0')).toBe(1)
    await stages.comeToRest()
    expect(outside.values).toEqual(booked(0, 8))
    expect(outside.refused).toHaveLength(refused)
    expect(world.count('outbox-sent-again')).toBeGreaterThan(0)
  })

  it('dies between commit and delivery: another instance delivers before it goes on', async () => {
    stages.put('payments', 's0', ...payments(4, 6))
    await stages.takeBatch('payments', 's0')
    outside.failNext = 'before'
    await expect(stages.takeBatch('balance', '0')).rejects.toThrow()
    stages.crash()
    stages.put('payments', 's0', ...payments(6, 8))
    await stages.takeBatch('payments', 's0')
    // A poke finds it, before the batch comes again.
    await stages.poke('balance', '0')
    expect(outside.values).toEqual(booked(0, 6))
    await stages.comeToRest()
    expect(outside.values).toEqual(booked(0, 8))
  })

  it('anywhere: each commit counts once, in order', async () => {
    const crashes = await crashEverywhere(
      async () => {
        const made = scene(undefined, { settings: { commitRecords: 3, inlineBytes: 50, longestTail: 3 }, batchRecords: 4 })
        await made.stages.activate()
        made.stages.put('payments', 's0', ...payments(0, 12))
        return made
      },
      ({ stages: own }) => own.comeToRest({ tries: 3 }),
      ({ outside: to }, crash) => expect(to.values, crash).toEqual(booked(0, 12)),
    )
    expect(crashes).toBeGreaterThan(40)
  })

  it('markers of a writer rise with every commit that has something', async () => {
    for (const from of [4, 6, 8]) {
      stages.put('payments', 's0', ...payments(from, from + 2))
      await stages.comeToRest()
    }
    const markers = outside.applied.map(({ marker }) => marker)
    expect(markers.map(({ writer, attempt }) => `${writer} ${attempt}`)).toEqual(Array.from({ length: 4 }, () => 'job/out/0 1'))
    const versions = markers.map(({ version }) => version)
    expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b))
    expect(versions.at(-1)).toBe((await stages.head('balance', '0')).version)
  })

  it('a restore fences: an instance of the former attempt that is late writes nothing any more', async () => {
    const ref = await stages.checkpoint()
    stages.put('payments', 's0', ...payments(4, 8))
    await stages.takeBatch('payments', 's0')
    // It hangs before its delivery, for longer than the restore takes.
    const late = stages.anotherInstance('balance', '0')
    const frames = world.streams.stream('job/1/balance').records('0')
    let release: () => void = () => {}
    const apply = outside.sink
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    outside.sink = (delivery) => {
      const sink = apply.call(outside, delivery)
      const transactor = sink.createTransactor as NonNullable<typeof sink.createTransactor>
      return {
        ...sink,
        createTransactor: (context) => {
          const inner = transactor(context)
          const slow = context.runtime.attemptNumber === 1
          return {
            ...inner,
            apply: async (marker, records) => {
              if (slow) await gate
              await inner.apply(marker, records)
            },
          }
        },
      }
    }
    const hanging = late.invoke({ kind: 'batch', records: frames.slice(-1) })
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(outside.values).toEqual(booked(0, 4))
    await stages.activate({ from: ref })
    expect(outside.values).toEqual(booked(0, 8))
    release()
    await hanging.catch(() => {})
    expect(outside.values).toEqual(booked(0, 8))
    expect(outside.refused.map(({ attempt }) => attempt)).toEqual([1])
    expect(outside.fences).toContain('job/out/0@2')
  })

  it('what was committed behind the checkpoint repeats in a restore, with the same balances', async () => {
    const ref = await stages.checkpoint()
    stages.put('payments', 's0', ...payments(4, 8))
    await stages.comeToRest()
    await stages.activate({ from: ref })
    expect(outside.values).toEqual([...booked(0, 8), ...booked(4, 8)])
  })

  it('after a stop with savepoint nothing repeats', async () => {
    const ref = await stages.checkpoint('stop')
    stages.put('payments', 's0', ...payments(4, 8))
    await stages.activate({ from: ref })
    expect(outside.values).toEqual(booked(0, 8))
  })
})

describe('a sink that gets what a completed checkpoint holds', () => {
  beforeEach(async () => {
    ;({ world, outside, stages } = scene('onCheckpoint', { settings: { longestTail: 3 } }))
    await stages.activate()
    stages.put('payments', 's0', ...payments(0, 4))
    await stages.comeToRest()
  })

  it('sees nothing before it has completed, and everything once after', async () => {
    expect(outside.values).toEqual([])
    expect(world.count('sink-held-until-checkpoint')).toBeGreaterThan(0)
    await stages.control.begin('checkpoint')
    await stages.comeToRest()
    // Acknowledged by all, but not completed.
    expect(outside.values).toEqual([])
    stages.put('payments', 's0', ...payments(4, 6))
    await stages.comeToRest()
    expect(outside.values).toEqual([])
    expect(await stages.control.poll()).toMatchObject({ status: 'completed' })
    await stages.comeToRest()
    expect(outside.values).toEqual(booked(0, 4))
    expect(world.count('sink-released')).toBe(1)
    await stages.checkpoint()
    expect(outside.values).toEqual(booked(0, 6))
    await stages.checkpoint()
    expect(outside.values).toEqual(booked(0, 6))
  })

  it('over a checkpoint that is given up: the next one brings it', async () => {
    await stages.control.begin('checkpoint')
    await stages.comeToRest()
    await stages.control.abort(1, 'not now')
    await stages.comeToRest()
    expect(outside.values).toEqual([])
    stages.put('payments', 's0', ...payments(4, 6))
    await stages.comeToRest()
    await stages.checkpoint()
    expect(outside.values).toEqual(booked(0, 6))
    expect(outside.refused).toEqual([])
  })

  it('over restores: what was not completed comes anew, what was is not repeated', async () => {
    const ref = await stages.checkpoint()
    stages.put('payments', 's0', ...payments(4, 8))
    await stages.comeToRest()
    await stages.activate({ from: ref })
    expect(outside.values).toEqual(booked(0, 4))
    await stages.activate({ from: ref })
    await stages.checkpoint()
    expect(outside.values).toEqual(booked(0, 8))
  })

  it('over a restore of a checkpoint that had completed, but whose release nobody had seen', async () => {
    await stages.control.begin('checkpoint')
    await stages.comeToRest()
    expect(await stages.control.poll()).toMatchObject({ status: 'completed' })
    // The poke is lost, and the job begins anew.
    world.pokes.take()
    expect(outside.values).toEqual([])
    await stages.activate({ from: { checkpointId: 1, savepoint: false } })
    expect(outside.values).toEqual(booked(0, 4))
    stages.put('payments', 's0', ...payments(4, 5))
    await stages.comeToRest()
    await stages.checkpoint()
    expect(outside.values).toEqual(booked(0, 5))
  })

  it('over a restore of a checkpoint whose release the outside has seen, while its commit was lost', async () => {
    await stages.control.begin('checkpoint')
    await stages.comeToRest()
    await stages.control.poll()
    outside.failNext = 'after'
    await expect(stages.comeToRest()).rejects.toMatchObject({ code: 'USER_FUNCTION' })
    expect(outside.values).toEqual(booked(0, 4))
    await stages.activate({ from: { checkpointId: 1, savepoint: false } })
    stages.put('payments', 's0', ...payments(4, 5))
    await stages.comeToRest()
    await stages.checkpoint()
    expect(outside.values).toEqual(booked(0, 5))
    expect(outside.refused.length).toBeGreaterThan(0)
  })

  it('stop and activation at another parallelism: everything once', async () => {
    const ref = await stages.checkpoint('stop')
    stages.put('payments', 's0', ...payments(4, 8))
    const three = new Stages(world, balances(outside, 'onCheckpoint'), { revision: '2', parallelism: 3 })
    await three.activate({ from: ref, retire: { ...stages.deployment, graph: stages.graph } })
    await three.comeToRest()
    const second = await three.checkpoint('stop')
    const two = new Stages(world, balances(outside, 'onCheckpoint'), { revision: '3', parallelism: 2 })
    await two.activate({ from: second, retire: { ...three.deployment, graph: three.graph } })
    two.put('payments', 's0', ...payments(8, 12))
    await two.comeToRest()
    await two.checkpoint()
    expect(sortedJson(outside.values)).toEqual(sortedJson(booked(0, 12)))
  })

  it('stop whose release nobody has seen, then another parallelism', async () => {
    await stages.control.begin('stop')
    await stages.comeToRest()
    await stages.control.poll()
    world.pokes.take()
    expect(outside.values).toEqual([])
    const three = new Stages(world, balances(outside, 'onCheckpoint'), { revision: '2', parallelism: 3 })
    await three.activate({ from: { checkpointId: 1, savepoint: true }, retire: { ...stages.deployment, graph: stages.graph } })
    three.put('payments', 's0', ...payments(4, 8))
    await three.comeToRest()
    await three.checkpoint()
    expect(sortedJson(outside.values)).toEqual(sortedJson(booked(0, 8)))
  })

  it('anywhere it crashes: nothing is seen early, everything once', async () => {
    const crashes = await crashEverywhere(
      async () => {
        const made = scene('onCheckpoint', { settings: { commitRecords: 3, inlineBytes: 50, longestTail: 3 } })
        await made.stages.activate()
        return { ...made, early: [] as unknown[] }
      },
      async ({ stages: own, outside: to, early }) => {
        for (let part = 0; part < 3; part++) {
          own.put('payments', 's0', ...payments(part * 3, part * 3 + 3))
          await own.comeToRest({ tries: 3 })
          await own.control.begin('checkpoint')
          await own.comeToRest({ tries: 3 })
          early.push(to.values.length - part * 3)
          await own.control.poll()
          await own.comeToRest({ tries: 3 })
        }
      },
      ({ outside: to, early }, crash) => {
        expect(to.values, crash).toEqual(booked(0, 9))
        expect(early, crash).toEqual([0, 0, 0])
      },
    )
    expect(crashes).toBeGreaterThan(100)
  })
})
