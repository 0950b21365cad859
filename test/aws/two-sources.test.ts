import fc from 'fast-check'
import { defineJob, kinesisSource, type Sink, utf8Line, WatermarkStrategy } from 'millrace'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { stagePorts } from '../../functions/aws-ports.js'
import { deployedJob } from '../../functions/deployed-job.js'
import { readStageEnvironment } from '../../functions/stage-environment.js'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { CheckpointStore } from '../../runtime/checkpoint/index.js'
import { decodeSegment } from '../../runtime/state/index.js'
import { decodeCommit } from '../../runtime/task/commit-record.js'
import { StageSubtask } from '../../runtime/task/stage-subtask.js'
import { Deployed } from './deployed.js'
import { AwsImitation } from './imitation.js'

interface Tally {
  readonly key: string
  readonly n: number
}

let delivered: Tally[] = []
/** Counts down with each sum; at 0 the function throws. */
let failAt = 0

function add(a: Tally, b: Tally): Tally {
  if (--failAt === 0) throw new Error('out of luck')
  return { key: a.key, n: a.n + b.n }
}

const deliveredSink: Sink<Tally, never> = {
  name: 'delivered',
  createWriter: () => ({ write: (tally) => void delivered.push(tally), prepareCommit: () => [], close: () => {} }),
}

/** Two shards, two subtasks that count: every counting subtask has two channels to align. */
const tally = defineJob('tally', (env) => {
  env
    .fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line }), WatermarkStrategy.noWatermarks<string>())
    .uid('words')
    .map((key): Tally => ({ key, n: 1 }))
    .keyBy((t) => t.key)
    .reduce(add)
    .uid('sum')
    .sinkTo(deliveredSink)
    .uid('delivered')
})

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

type Action =
  | { readonly kind: 'produce'; readonly shard: number; readonly words: readonly string[] }
  | { readonly kind: 'invoke'; readonly stage: number; readonly shard: number; readonly batch: number; readonly cold: boolean }
  | { readonly kind: 'again'; readonly stage: number; readonly shard: number; readonly from: number; readonly batch: number; readonly cold: boolean }
  | { readonly kind: 'begin' }
  | { readonly kind: 'barrier'; readonly shard: number; readonly checkpoint: number; readonly cold: boolean }
  | { readonly kind: 'steal' }
  | { readonly kind: 'fail' }

const bit = fc.nat({ max: 1 })
const batch = fc.integer({ min: 1, max: 6 })
const actions: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('produce' as const),
      shard: bit,
      words: fc.array(fc.constantFrom(...KEYS), { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('invoke' as const), stage: bit, shard: bit, batch, cold: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('again' as const), stage: bit, shard: bit, from: fc.nat({ max: 10 }), batch, cold: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'begin' as const }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('barrier' as const), shard: bit, checkpoint: fc.nat({ max: 3 }), cold: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'steal' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'fail' as const }) },
)

afterEach(() => {
  vi.restoreAllMocks()
})

/** One schedule on a deployment of its own, then everything to rest, then what must hold. */
async function runSchedule(schedule: readonly Action[], batchFirst = false): Promise<number> {
  const aws = new AwsImitation()
  delivered = []
  vi.spyOn(console, 'error').mockImplementation(() => {})
  try {
    const world = new World(aws, batchFirst)
    for (const action of schedule) await world.act(action)
    return await world.settle()
  } finally {
    aws.restore()
  }
}

class World {
  readonly deployed: Deployed
  readonly stages: readonly string[]
  readonly produced: Record<string, number> = {}
  #begun = 0

  constructor(
    readonly aws: AwsImitation,
    /** Whether batches come before the last barrier. */
    readonly batchFirst = false,
  ) {
    this.deployed = new Deployed(aws, tally, [], 2)
    this.stages = this.deployed.plan.graph.vertices.map(({ id }) => id)
  }

  async act(action: Action): Promise<void> {
    const { aws, deployed, stages } = this
    const handler = (stage: number, cold: boolean) => (cold ? deployed.coldInstance(stages[stage]) : deployed.instance(stages[stage]))
    switch (action.kind) {
      case 'produce':
        aws.produce(deployed.stream(stages[0]), action.shard, action.words)
        for (const word of action.words) this.produced[word] = (this.produced[word] ?? 0) + 1
        break
      case 'invoke':
        await deployed.invokeNext(stages[action.stage], action.shard, action.batch, handler(action.stage, action.cold))
        break
      case 'again': {
        // Lambda delivers an acknowledged batch again only when the acknowledgement was lost: from any earlier position up to there.
        const acknowledged = deployed.acknowledged(stages[action.stage], action.shard)
        const records = aws.shard(deployed.stream(stages[action.stage]), action.shard).slice(Math.max(0, acknowledged - action.from), acknowledged)
        if (records.length > 0) await handler(action.stage, action.cold)(aws.event(deployed.stream(stages[action.stage]), action.shard, records))
        break
      }
      case 'begin':
        await deployed.beginCheckpoint()
        this.#begun++
        break
      case 'barrier':
        if (this.#begun > 0) await this.barrier(action.shard, 1 + (action.checkpoint % this.#begun), action.cold)
        break
      case 'steal': {
        // At the next commit of a counting subtask a copy of the same invocation is faster.
        let armed = true
        aws.beforePutItem = async (pk) => {
          if (!armed || !pk.endsWith('/sum/0')) return
          armed = false
          await deployed.invokeNext('sum', 0, 3, deployed.coldInstance('sum'))
        }
        break
      }
      case 'fail': {
        let armed = true
        aws.afterPutItem = (pk) => {
          if (!armed || pk.includes('#')) return
          armed = false
          throw new Error('the answer was lost')
        }
      }
    }
  }

  /** Each word once, through subtask `shard` of the source. */
  async wordsThroughSource(shard: number): Promise<void> {
    await this.act({ kind: 'produce', shard, words: KEYS })
    await this.act({ kind: 'invoke', stage: 0, shard, batch: 10, cold: false })
  }

  /** The counting subtasks take all there is, record by record, each time in a new instance. */
  async drainCold(): Promise<void> {
    for (const shard of [0, 1]) while (await this.deployed.invokeNext('sum', shard, 1, this.deployed.coldInstance('sum')));
  }

  async barrier(shard: number, checkpointId: number, cold = false): Promise<void> {
    const handler = cold ? this.deployed.coldInstance(this.stages[0]) : this.deployed.instance(this.stages[0])
    try {
      await handler({ barrier: { checkpointId, subtask: shard } })
    } catch (error) {
      // The state machine sends it again, some time.
      if ((error as { readonly code?: string }).code !== 'AWS_CALL') throw error
    }
  }

  /** Returns how many checkpoints completed. */
  async settle(): Promise<number> {
    const { aws, deployed } = this
    const last = await deployed.beginCheckpoint()
    aws.beforePutItem = undefined
    aws.afterPutItem = undefined
    if (this.batchFirst) await deployed.run(5)
    for (const shard of [0, 1]) await this.barrier(shard, last)
    await deployed.run(5)
    deployed.forgetInstances()
    await deployed.run(5)

    const totals: Record<string, number> = {}
    for (const { key, n } of delivered) totals[key] = Math.max(totals[key] ?? 0, n)
    expect(totals).toEqual(this.produced)
    expect(new Set(delivered.map(({ key, n }) => `${key} ${n}`)).size).toBe(Object.values(this.produced).reduce((sum, n) => sum + n, 0))

    let completed = 0
    for (let id = 1; id <= last; id++) {
      if (((await deployed.poll(id)) as { readonly status: string }).status !== 'completed') continue
      completed++
      await this.checkManifest(id)
    }
    expect(await deployed.poll(last)).toMatchObject({ status: 'completed' })
    for (const log of this.stages.flatMap((stage) => [`tally/1/${stage}/0`, `tally/1/${stage}/1`])) {
      const versions = [...aws.items.values()].filter(({ pk }) => pk === log).map(({ sk }) => Number(sk.slice(1)))
      expect(versions).toEqual(versions.map((_, index) => index + 1))
    }
    return completed
  }

  /** The sums are those of exactly the words up to the sources' positions. */
  async checkManifest(id: number): Promise<void> {
    const { aws, deployed } = this
    const prefix = 'checkpoints/tally/1/'
    const blobs = new MemoryBlobStore()
    for (const [key, bytes] of aws.objects) if (key.startsWith(prefix)) await blobs.put(key.slice(prefix.length), bytes)
    const manifest = await new CheckpointStore(blobs).load(id)
    const expected: Record<string, number> = {}
    for (const { subtask, operatorState } of manifest.operators[0].subtasks) {
      const position = (operatorState[0] as { readonly position: bigint } | undefined)?.position ?? -1n
      for (const { sequence, data } of aws.shard(deployed.stream(this.stages[0]), subtask)) {
        const word = new TextDecoder().decode(data)
        if (sequence <= position) expected[word] = (expected[word] ?? 0) + 1
      }
    }
    const sums: Record<string, number> = {}
    for (const { keyed } of manifest.operators.find(({ uid }) => uid === 'sum')?.subtasks ?? []) {
      for (const ref of keyed) {
        const segment = decodeSegment((await blobs.get(ref.name)) as Uint8Array, ref.name)
        for (const { block } of segment.blocks(0, 127)) for (const { key, n } of block.values as Tally[]) sums[key] = n
      }
    }
    expect(sums).toEqual(expected)
  }
}

describe('two sources, two counting subtasks', () => {
  it('counts every word once and cuts consistently, whatever the order of batches, barriers, repeats, losses and cold starts', {
    timeout: 120_000,
  }, async () => {
    let completed = 0
    await fc.assert(
      fc.asyncProperty(fc.array(actions, { minLength: 10, maxLength: 60 }), fc.boolean(), async (schedule, batchFirst) => {
        completed += await runSchedule(schedule, batchFirst)
      }),
      { numRuns: 60 },
    )
    // More than the one at the end of each schedule.
    expect(completed).toBeGreaterThan(60)
  })

  it('holds back what is behind a barrier until the other channel has reached it', () =>
    inWorld(async (world) => {
      await world.wordsThroughSource(0)
      const id = await world.deployed.beginCheckpoint()
      await world.barrier(0, id)
      await world.wordsThroughSource(0)
      await world.drainCold()
      expect(delivered).toHaveLength(KEYS.length)
      await world.barrier(1, id)
      await world.drainCold()
      // One message brought the cut, and what waited behind it.
      expect(delivered).toHaveLength(2 * KEYS.length)
      expect(await world.deployed.poll(id)).toMatchObject({ status: 'completed' })
      await world.checkManifest(id)
    }))

  it('keeps what waits for the next barrier in the base that a cut makes', () =>
    inWorld(async (world) => {
      const [first, second] = [await world.deployed.beginCheckpoint(), await world.deployed.beginCheckpoint()]
      await world.barrier(0, first)
      await world.barrier(0, second)
      await world.wordsThroughSource(0)
      await world.drainCold()
      await world.barrier(1, first)
      await world.drainCold()
      expect(await world.deployed.poll(first)).toMatchObject({ status: 'completed' })
      expect(delivered).toHaveLength(0)
      await world.barrier(1, second)
      await world.drainCold()
      expect(delivered).toHaveLength(KEYS.length)
      await world.settle()
    }))

  it('sends what a barrier made before it takes the next batch, when the instance that cut is gone', () =>
    inWorld(async (world) => {
      const id = await world.deployed.beginCheckpoint()
      let died = false
      world.aws.afterPutItem = (pk) => {
        if (died || !pk.endsWith('/words/0')) return
        died = true
        throw new Error('the instance is gone')
      }
      await world.barrier(0, id, true)
      expect(died).toBe(true)
      await world.wordsThroughSource(0)
      await world.barrier(1, id)
      await world.drainCold()
      expect(delivered).toHaveLength(KEYS.length)
      expect(await world.deployed.poll(id)).toMatchObject({ status: 'completed' })
    }))

  it('forgets what a batch did before it failed', () =>
    inWorld(async (world) => {
      const logged = vi.spyOn(console, 'error').mockImplementation(() => {})
      await world.wordsThroughSource(0)
      await world.act({ kind: 'invoke', stage: 1, shard: 0, batch: 10, cold: false })
      await world.wordsThroughSource(0)
      failAt = 2
      await world.act({ kind: 'invoke', stage: 1, shard: 0, batch: 10, cold: false })
      expect(logged).toHaveBeenCalledWith(expect.objectContaining({ code: 'USER_FUNCTION', uid: 'sum' }))
      expect(world.deployed.acknowledged('sum', 0)).toBe(1)
      await world.settle()
      expect(delivered).toHaveLength(2 * KEYS.length)
    }))

  it('begins a new base when the tail is long, and goes on from it', () =>
    inWorld(async (world) => {
      const { deployed, aws } = world
      const variables = readStageEnvironment(deployed.variables('sum'))
      const { parameters, describe } = deployedJob(tally, variables)
      const ports = stagePorts(variables, deployed.plan.graph)
      const subtask = () =>
        new StageSubtask({ deployment: variables, describe, stage: 'sum', subtask: 0, attempt: 0, parameters, ports, longestTail: 3 })
      for (let round = 1; round <= 10; round++) {
        await world.wordsThroughSource(0)
        const records = aws.shard(deployed.stream('sum'), 0).slice(-1)
        await subtask().batch(
          records.map(({ sequence, data, partitionKey }) => ({ position: sequence, data, partitionKey, arrivalMs: 0 })),
          'shardId-000000000000',
        )
      }
      const bases = [...aws.items.values()]
        .filter(({ pk }) => pk === 'tally/1/sum/0')
        .map(({ pk, payload }) => decodeCommit(pk, { version: 0, payload }).base.version)
      expect(bases).toEqual([1, 1, 1, 4, 4, 4, 7, 7, 7, 10])
      const counted = delivered.filter(({ n }) => n === 10)
      expect(counted.length).toBeGreaterThan(0)
      expect(delivered).toHaveLength(counted.length * 10)
    }))
})

async function inWorld(run: (world: World) => Promise<void>): Promise<void> {
  const aws = new AwsImitation()
  delivered = []
  failAt = 0
  try {
    await run(new World(aws))
  } finally {
    aws.restore()
  }
}
