import fc from 'fast-check'
import { defineJob, kinesisSource, type Sink, utf8Line, WatermarkStrategy } from 'millrace'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { stagePorts } from '../../functions/aws-ports.js'
import { deployedJob } from '../../functions/deployed-job.js'
import { readStageEnvironment } from '../../functions/stage-environment.js'
import { StageMetrics } from '../../functions/stage-metrics.js'
import { MemoryBlobStore } from '../../runtime/backends/memory/index.js'
import { CheckpointStore } from '../../runtime/checkpoint/index.js'
import type { SourcePosition } from '../../runtime/checkpoint/stage-ack.js'
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
  | { readonly kind: 'poke'; readonly stage: number; readonly shard: number; readonly cold: boolean }
  | { readonly kind: 'poll' }
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
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('poke' as const), stage: bit, shard: bit, cold: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'poll' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'steal' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'fail' as const }) },
)

afterEach(() => {
  vi.restoreAllMocks()
})

/** A source's subtask is a shard, another's a number. */
function subtaskOf(stage: number, shard: number): string {
  return stage === 0 ? `shardId-${String(shard).padStart(12, '0')}` : String(shard)
}

/** A step that whoever drives it takes again, some time, when a call failed. */
async function tried<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step()
  } catch (error) {
    if ((error as { readonly code?: string }).code !== 'AWS_CALL') throw error
    return undefined
  }
}

/** One schedule on a deployment of its own, then everything to rest, then what must hold. */
async function runSchedule(schedule: readonly Action[], batchFirst = false): Promise<number> {
  const aws = new AwsImitation()
  delivered = []
  try {
    const world = await World.create(aws, batchFirst)
    for (const action of schedule) await world.act(action)
    return await world.settle()
  } finally {
    aws.restore()
  }
}

class World {
  readonly stages: readonly string[]
  readonly produced: Record<string, number> = {}
  /** Id of the last checkpoint that was begun. */
  begun = 0

  private constructor(
    readonly aws: AwsImitation,
    readonly deployed: Deployed,
    /** Whether batches come before messages in the end. */
    readonly batchFirst: boolean,
  ) {
    this.stages = deployed.plan.graph.vertices.map(({ id }) => id)
  }

  static async create(aws: AwsImitation, batchFirst = false): Promise<World> {
    return new World(aws, await Deployed.active(aws, tally, [], 2), batchFirst)
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
        await this.begin()
        break
      case 'poke':
        await deployed.poke(stages[action.stage], subtaskOf(action.stage, action.shard), handler(action.stage, action.cold))
        break
      case 'poll':
        await tried(() => deployed.poll(this.begun))
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
        aws.afterPutItem = () => {
          if (!armed) return
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

  /** Its id, or that of the last one when nothing has changed; undefined when another one is in progress, or the call failed. */
  async begin(): Promise<number | undefined> {
    const begun = await tried(() => this.deployed.control({ step: 'begin' }))
    if (begun?.status !== 'begun' && begun?.status !== 'unchanged') return undefined
    this.begun = begun.checkpointId
    return begun.checkpointId
  }

  /** The source's subtask looks at its control item. */
  async poke(shard: number, cold = false): Promise<boolean> {
    return this.deployed.poke(this.stages[0], subtaskOf(0, shard), cold ? this.deployed.coldInstance(this.stages[0]) : undefined)
  }

  /** A checkpoint from its first step to its end. */
  async checkpoint(): Promise<number> {
    for (let rounds = 0; rounds < 20; rounds++) {
      const id = await this.begin()
      await this.deployed.run(5)
      if ((await this.deployed.poll(this.begun)).status === 'completed' && id !== undefined) return id
    }
    throw new Error('no checkpoint completes')
  }

  /** Returns how many of the checkpoints completed that the schedule had begun. */
  async settle(): Promise<number> {
    const { aws, deployed, begun } = this
    aws.beforePutItem = undefined
    aws.afterPutItem = undefined
    const shards = this.stages.flatMap((stage) => [0, 1].map((shard) => ({ stage, shard })))
    if (this.batchFirst) for (const { stage, shard } of shards) while (await deployed.invokeNext(stage, shard, 5));
    await this.checkpoint()
    const last = await this.checkpoint()
    deployed.forgetInstances()
    await deployed.run(5)

    const totals: Record<string, number> = {}
    for (const { key, n } of delivered) totals[key] = Math.max(totals[key] ?? 0, n)
    expect(totals).toEqual(this.produced)
    expect(new Set(delivered.map(({ key, n }) => `${key} ${n}`)).size).toBe(Object.values(this.produced).reduce((sum, n) => sum + n, 0))

    let completed = 0
    for (let id = 1; id <= last; id++) {
      if ((await deployed.poll(id)).status !== 'completed') continue
      if (id <= begun) completed++
      await this.checkManifest(id)
    }
    for (const log of [0, 1].flatMap((shard) => this.stages.map((stage, at) => `tally/1/${stage}/${subtaskOf(at, shard)}`))) {
      const versions = [...aws.items.values()].filter(({ pk, sk }) => pk === log && sk !== 'z').map(({ sk }) => Number(sk.slice(1)))
      expect(versions.length).toBeGreaterThan(0)
      expect(versions).toEqual(versions.map((_, index) => index + 1))
    }
    return completed
  }

  /** The sums are those of exactly the words up to the sources' positions. */
  async checkManifest(id: number): Promise<void> {
    const { aws, deployed } = this
    const prefix = 'checkpoints/tally/'
    const blobs = new MemoryBlobStore()
    for (const [key, bytes] of aws.objects) if (key.startsWith(prefix)) await blobs.put(key.slice(prefix.length), bytes)
    const store = new CheckpointStore(blobs)
    const manifest = await store.load(id)
    const expected: Record<string, number> = {}
    for (const { subtask, operatorState } of manifest.operators[0].subtasks) {
      const { splitId, position } = operatorState[0] as SourcePosition
      expect(splitId).toBe(subtaskOf(0, subtask))
      for (const { sequence, data } of aws.shard(deployed.stream(this.stages[0]), subtask)) {
        const word = new TextDecoder().decode(data)
        if (position !== null && sequence <= BigInt(position)) expected[word] = (expected[word] ?? 0) + 1
      }
    }
    const sums: Record<string, number> = {}
    for (const { keyed } of manifest.operators.find(({ uid }) => uid === 'sum')?.subtasks ?? []) {
      for (const ref of keyed) {
        const segment = decodeSegment(await store.readSegment(ref), ref.name)
        for (const { block } of segment.blocks(0, 127)) for (const { key, n } of block.values as Tally[]) sums[key] = n
      }
    }
    expect(sums).toEqual(expected)
  }
}

describe('two sources, two counting subtasks', () => {
  it('counts every word once and cuts consistently, whatever the order of batches, checkpoints, pokes, repeats, losses and cold starts', {
    timeout: 120_000,
  }, async () => {
    let completed = 0
    await fc.assert(
      fc.asyncProperty(fc.array(actions, { minLength: 10, maxLength: 60 }), fc.boolean(), async (schedule, batchFirst) => {
        completed += await runSchedule(schedule, batchFirst)
      }),
      { numRuns: 40 },
    )
    // About 20, by the schedules that were drawn.
    expect(completed).toBeGreaterThan(5)
  })

  it('holds back what is behind a barrier until the other channel has reached it', () =>
    inWorld(async (world) => {
      await world.wordsThroughSource(0)
      const id = await world.deployed.beginCheckpoint()
      await world.poke(0)
      await world.wordsThroughSource(0)
      await world.drainCold()
      expect(delivered).toHaveLength(KEYS.length)
      await world.poke(1)
      await world.drainCold()
      // One message brought the cut, and what waited behind it.
      expect(delivered).toHaveLength(2 * KEYS.length)
      expect(await world.deployed.poll(id)).toMatchObject({ status: 'completed' })
      await world.checkManifest(id)
    }))

  it('sends what a barrier made before it takes the next batch, when the instance that cut is gone', () =>
    inWorld(async (world) => {
      const id = await world.deployed.beginCheckpoint()
      let died = false
      world.aws.afterPutItem = (pk) => {
        if (died || !pk.endsWith('/words/shardId-000000000000')) return
        died = true
        throw new Error('the instance is gone')
      }
      expect(await world.poke(0, true)).toBe(false)
      expect(died).toBe(true)
      await world.wordsThroughSource(0)
      await world.poke(1)
      await world.drainCold()
      expect(delivered).toHaveLength(KEYS.length)
      expect(await world.deployed.poll(id)).toMatchObject({ status: 'completed' })
    }))

  it('forgets what a batch did before it failed', () =>
    inWorld(async (world) => {
      await world.wordsThroughSource(0)
      await world.act({ kind: 'invoke', stage: 1, shard: 0, batch: 10, cold: false })
      await world.wordsThroughSource(0)
      failAt = 2
      await world.act({ kind: 'invoke', stage: 1, shard: 0, batch: 10, cold: false })
      expect(world.deployed.failures).toContainEqual(expect.objectContaining({ code: 'USER_FUNCTION', uid: 'sum' }))
      expect(world.deployed.acknowledged('sum', 0)).toBe(1)
      await world.settle()
      expect(new Set(delivered.map(({ key, n }) => `${key} ${n}`)).size).toBe(2 * KEYS.length)
    }))

  it('begins a new base when the tail is long, and goes on from it', () =>
    inWorld(async (world) => {
      const { deployed, aws } = world
      const variables = readStageEnvironment(deployed.variables('sum'))
      const { parameters, describe } = deployedJob(tally, variables)
      const ports = stagePorts(variables, deployed.plan.graph, { metrics: new StageMetrics({}), send: deployed.send })
      const deployment = { deployment: variables, describe, stage: 'sum', subtask: '0', parameters, ports }
      for (let round = 1; round <= 10; round++) {
        await world.wordsThroughSource(0)
        const records = aws.shard(deployed.stream('sum'), 0).slice(-1)
        await new StageSubtask({ ...deployment, settings: { longestTail: 3 } }).invoke({
          kind: 'batch',
          records: records.map(({ sequence, data, partitionKey }) => ({ position: sequence, data, partitionKey, arrivalMs: 0 })),
        })
      }
      const bases = [...aws.items.values()]
        .filter(({ pk, sk }) => pk === 'tally/1/sum/0' && sk !== 'z')
        .map(({ pk, payload }) => decodeCommit(pk, { version: 0, payload }).base.version)
      expect(bases).toEqual([1, 1, 1, 4, 4, 4, 7, 7, 7, 10, 10])
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
    await run(await World.create(aws))
  } finally {
    aws.restore()
  }
}
