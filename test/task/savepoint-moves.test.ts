import { beforeEach, describe, expect, it } from 'vitest'
import { AsyncDataStream, defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { FileBlobStore } from '../../runtime/backends/file/index.js'
import { CheckpointStore } from '../../runtime/checkpoint/index.js'
import {
  type CheckpointedFunction,
  type FunctionInitializationContext,
  type FunctionSnapshotContext,
  ListStateDescriptor,
  type MapFunction,
  mapState,
  type Sink,
  TumblingEventTimeWindows,
  WatermarkStrategy,
} from '../../runtime/index.js'
import { run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { until } from '../local/run-job.js'
import { bothWaysSource, ReadLimit } from './both-ways-source.js'
import { Outside, Stages, StageWorld, sortedJson } from './stage-world.js'

interface Reading {
  readonly key: string
  readonly n: number
  /** Event time, ms. */
  readonly t: number
}

const SPLITS = ['a', 'b']
const MAX_PARALLELISM = 16

function readings(from: number, to: number): Reading[] {
  return Array.from({ length: to - from }, (_, i) => ({ key: `k${((from + i) * 7) % 5}`, n: from + i, t: (from + i) * 90 }))
}

const NUMBERS = new ListStateDescriptor<number>('numbers')

/** Numbers what comes, in operator state. */
class Numbering implements MapFunction<Reading, Reading & { order: number }>, CheckpointedFunction {
  #count = 0

  initializeState(context: FunctionInitializationContext): void {
    this.#count = [...context.getListState(NUMBERS).get()].reduce((sum, n) => sum + n, 0)
  }

  snapshotState(context: FunctionSnapshotContext): void {
    context.getListState(NUMBERS).update([this.#count])
  }

  map(reading: Reading): Reading & { order: number } {
    return { ...reading, order: ++this.#count }
  }
}

/** Writes to the outside in both engines. */
function bothWays(outside: Outside, delivery?: Sink<unknown>['delivery']): Sink<unknown, never> {
  return {
    ...outside.sink(delivery),
    createWriter: () => ({
      write: (value) => void outside.applied.push({ marker: { writer: 'embedded', attempt: 0, version: 0 }, values: [value] }),
      prepareCommit: () => [],
      close: () => {},
    }),
  }
}

/** The same, but in one process it commits with checkpoints: what a run has behind its savepoint is not seen. */
function bothWaysCommitting(outside: Outside): Sink<unknown, unknown> {
  return {
    ...bothWays(outside),
    createWriter: () => {
      const values: unknown[] = []
      return { write: (value) => void values.push(value), prepareCommit: () => values.splice(0), close: () => {} }
    },
    createCommitter: () => ({
      commit: (values) => void outside.applied.push({ marker: { writer: 'embedded', attempt: 0, version: 0 }, values }),
    }),
  }
}

/** Operator state, keyed state with timers, and windows. */
function job(world: StageWorld, outside: Outside, limit = new ReadLimit(), sourceParallelism = 1) {
  const deserialize = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data)) as Reading
  return (env: StreamExecutionEnvironment) => {
    const strategy = WatermarkStrategy.forMonotonousTimestamps<Reading>().withTimestampAssigner(({ t }) => t)
    const numbered = env
      .fromSource(bothWaysSource('readings', world.streams.stream('readings'), deserialize, limit), strategy)
      .uid('readings')
      .setParallelism(sourceParallelism)
      .rebalance()
      .map(new Numbering())
      .uid('number')
      .setParallelism(1)
    numbered
      .map(({ order }) => ({ order }))
      .uid('orders')
      .setParallelism(1)
      .sinkTo(bothWaysCommitting(outside))
      .uid('orders-out')
      .setParallelism(1)
    numbered
      .keyBy(({ key }) => key)
      .process({
        state: { seen: mapState<number, number>() },
        processElement({ t, n }, { state, timerService }) {
          state.seen.put(n, t)
          // Two for each second and key, of which the same one counts once.
          timerService.registerEventTimeTimer(Math.floor(t / 1_000) * 1_000 + 1_500)
        },
        onTimer(time, { currentKey, state }, out: { collect(value: unknown): void }) {
          const before = [...state.seen.entries()].filter(([, t]) => t < time)
          out.collect({ key: currentKey, time, sum: before.reduce((sum, [n]) => sum + n, 0) })
        },
      })
      .uid('timers')
      .sinkTo(bothWaysCommitting(outside))
      .uid('timers-out')
    numbered
      .keyBy(({ key }) => key)
      .window(TumblingEventTimeWindows.of(2_000))
      .process({
        process: (key, { window }, all, out: { collect(value: unknown): void }) =>
          out.collect({ key, start: window.start, all: [...all].map(({ n }) => n).sort((x, y) => x - y) }),
      })
      .uid('windows')
      .sinkTo(bothWaysCommitting(outside))
      .uid('windows-out')
  }
}

function newWorld(): StageWorld {
  const world = StageWorld.withStream('readings', SPLITS)
  return world
}

function put(world: StageWorld, from: number, to: number): void {
  for (const reading of readings(from, to)) {
    world.streams.stream('readings').put(SPLITS[reading.n % 2], new TextEncoder().encode(JSON.stringify(reading)), { arrivalMs: reading.t })
  }
}

function end(world: StageWorld): void {
  for (const split of SPLITS) world.streams.stream('readings').close(split)
}

const TOTAL = 80
const HALF = 40
let undisturbed: string[]

beforeEach(async () => {
  if (undisturbed !== undefined) return
  const world = newWorld()
  put(world, 0, TOTAL)
  end(world)
  const outside = new Outside()
  const handle = await run(defineJob('job', job(world, outside)), { threads: 0, maxParallelism: MAX_PARALLELISM })
  await handle.result()
  undisturbed = sortedJson(outside.values)
  expect(undisturbed.length).toBeGreaterThan(TOTAL)
})

/** Runs the job in one process over half of the records and stops it with a savepoint. */
async function halfEmbedded(world: StageWorld, outside: Outside, parallelism: number, sourceParallelism: number) {
  const savepointDir = await tempFolder()
  const limit = new ReadLimit(HALF / SPLITS.length)
  const handle = await run(defineJob('job', job(world, outside, limit, sourceParallelism)), {
    threads: 0,
    parallelism,
    maxParallelism: MAX_PARALLELISM,
  })
  await until(() => limit.emitted === HALF)
  const { savepoint: root = '' } = await handle.stop({ savepointDir })
  const store = new CheckpointStore(new FileBlobStore(root), { root })
  const { checkpointId } = await store.load('savepoint')
  return { store, from: { checkpointId, savepoint: true } }
}

/** Runs the job in one process from the checkpoint to its end. */
async function finishEmbedded(world: StageWorld, outside: Outside, restoreFrom: string, parallelism = 1): Promise<void> {
  const handle = await run(defineJob('job', job(world, outside)), { threads: 0, parallelism, maxParallelism: MAX_PARALLELISM, restoreFrom })
  await handle.result()
}

/** Lets the stages end: whoever was read to its end hears of it at a poke. */
async function finish(stages: Stages): Promise<void> {
  await stages.comeToRest()
  for (const split of stages.subtasks('readings')) await stages.poke('readings', split)
  await stages.comeToRest()
}

describe('from stages to one process', () => {
  it.each([
    [1, 1],
    [1, 3],
    [3, 1],
    [2, 3],
  ])('stages at parallelism %s, one process at %s: the results are those of an undisturbed run', async (before, after) => {
    const root = await tempFolder()
    const world = new StageWorld({ blobs: new FileBlobStore(root), root })
    world.streams.create('readings', SPLITS)
    put(world, 0, HALF)
    const outside = new Outside()
    const stages = await Stages.activated(world, job(world, outside), { parallelism: before })
    await stages.comeToRest()
    const { checkpointId } = await stages.checkpoint('stop')
    put(world, HALF, TOTAL)
    end(world)
    await finishEmbedded(world, outside, `${root}/chk-${checkpointId}`, after)
    expect(sortedJson(outside.values)).toEqual(undisturbed)
  })

  it('a source whose one split had ended', async () => {
    const root = await tempFolder()
    const world = new StageWorld({ blobs: new FileBlobStore(root), root })
    world.streams.create('readings', SPLITS)
    put(world, 0, TOTAL)
    end(world)
    const outside = new Outside()
    const stages = await Stages.activated(world, job(world, outside), { batchRecords: 10 })
    expect(sortedJson(outside.values)).not.toEqual(undisturbed)
    await stages.poke('readings', 'a')
    await stages.comeToRest()
    const { checkpointId } = await stages.checkpoint('stop')
    const manifest = await world.checkpoints.load(checkpointId)
    expect(manifest.operators.find(({ uid }) => uid === 'readings')?.subtasks.map(({ ended }) => ended === true)).toEqual([true, false])
    await finishEmbedded(world, outside, `${root}/chk-${checkpointId}`)
    expect(sortedJson(outside.values)).toEqual(undisturbed)
  })
})

describe('from one process to stages', () => {
  it.each([
    [1, 1],
    [1, 3],
    [3, 2],
  ])('one process at parallelism %s, stages at %s: the results are those of an undisturbed run', async (before, after) => {
    const world = newWorld()
    put(world, 0, HALF)
    const outside = new Outside()
    const { store, from } = await halfEmbedded(world, outside, before, SPLITS.length)
    put(world, HALF, TOTAL)
    end(world)
    const stages = new Stages(world, job(world, outside), { parallelism: after })
    await stages.activate({ from, store })
    await finish(stages)
    expect(sortedJson(outside.values)).toEqual(undisturbed)
  })

  it('with more keyed state than is read at once: its segments have no blocks, so it stays in memory whatever it takes', async () => {
    const world = newWorld()
    put(world, 0, HALF)
    const outside = new Outside()
    const { store, from } = await halfEmbedded(world, outside, 1, SPLITS.length)
    put(world, HALF, TOTAL)
    end(world)
    const settings = { wholeStateBytes: 0, stateMemoryBytes: 0 }
    const stages = new Stages(world, job(world, outside), { settings, batchRecords: 2 })
    await stages.activate({ from, store })
    await finish(stages)
    expect(sortedJson(outside.values)).toEqual(undisturbed)
    expect(world.count('state-over-budget')).toBe(0)
  })

  it('where one reader had several splits', async () => {
    const world = newWorld()
    put(world, 0, HALF)
    const outside = new Outside()
    const { store, from } = await halfEmbedded(world, outside, 1, 1)
    put(world, HALF, TOTAL)
    end(world)
    const stages = new Stages(world, job(world, outside))
    await stages.activate({ from, store })
    await finish(stages)
    expect(sortedJson(outside.values)).toEqual(undisturbed)
  })

  it('and back again, at another parallelism each time', async () => {
    const root = await tempFolder()
    const world = new StageWorld({ blobs: new FileBlobStore(root), root })
    world.streams.create('readings', SPLITS)
    put(world, 0, HALF)
    const outside = new Outside()
    const { store, from } = await halfEmbedded(world, outside, 2, SPLITS.length)
    put(world, HALF, 60)
    const stages = new Stages(world, job(world, outside), { parallelism: 3 })
    await stages.activate({ from, store })
    await stages.comeToRest()
    const { checkpointId } = await stages.checkpoint('stop')
    expect(checkpointId).toBeGreaterThan(from.checkpointId)
    put(world, 60, TOTAL)
    end(world)
    await finishEmbedded(world, outside, `${root}/chk-${checkpointId}`)
    expect(sortedJson(outside.values)).toEqual(undisturbed)
  })
})

describe('timers of processing time', () => {
  const ringing =
    (world: StageWorld, outside: Outside, inMs: number, limit = new ReadLimit()) =>
    (env: StreamExecutionEnvironment) => {
      const deserialize = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data)) as Reading
      const source = bothWaysSource('readings', world.streams.stream('readings'), deserialize, limit)
      env
        .fromSource(source, WatermarkStrategy.noWatermarks<Reading>())
        .uid('readings')
        .setParallelism(limit.records === Number.POSITIVE_INFINITY ? 1 : SPLITS.length)
        .keyBy(({ key }) => key)
        .process({
          state: { seen: mapState<number, number>() },
          processElement({ n }, { state, timerService }) {
            state.seen.put(n, timerService.currentProcessingTime())
            if (n < 5) timerService.registerProcessingTimeTimer(timerService.currentProcessingTime() + inMs)
          },
          onTimer(_time, { currentKey, state }, out: { collect(value: unknown): void }) {
            out.collect({ key: currentKey, first: [...state.seen.keys()].toSorted((x, y) => x - y)[0] })
          },
        })
        .uid('ring')
        .sinkTo(bothWays(outside))
        .uid('out')
    }
  const FIRSTS = sortedJson(readings(0, 5).map(({ key, n }) => ({ key, first: n })))

  it('set in stages, long ago by the clock of the other, fire in one process', async () => {
    const root = await tempFolder()
    const world = new StageWorld({ blobs: new FileBlobStore(root), root })
    world.streams.create('readings', SPLITS)
    put(world, 0, 10)
    const outside = new Outside()
    const stages = await Stages.activated(world, ringing(world, outside, 3_600_000))
    const { checkpointId } = await stages.checkpoint('stop')
    expect(outside.values).toEqual([])
    const limit = new ReadLimit(0)
    const options = { threads: 0, maxParallelism: MAX_PARALLELISM, restoreFrom: `${root}/chk-${checkpointId}` }
    const handle = await run(defineJob('job', ringing(world, outside, 0, limit)), options)
    await until(() => outside.values.length >= FIRSTS.length)
    await handle.cancel()
    expect(sortedJson(outside.values)).toEqual(FIRSTS)
  })

  it('set in one process ring in stages when their time has come', async () => {
    const world = newWorld()
    put(world, 0, HALF)
    const outside = new Outside()
    const savepointDir = await tempFolder()
    const limit = new ReadLimit(HALF / SPLITS.length)
    const options = { threads: 0, maxParallelism: MAX_PARALLELISM }
    const handle = await run(defineJob('job', ringing(world, outside, 3_600_000, limit)), options)
    await until(() => limit.emitted === HALF)
    const { savepoint: root = '' } = await handle.stop({ savepointDir })
    const store = new CheckpointStore(new FileBlobStore(root), { root })
    const { checkpointId } = await store.load('savepoint')
    const stages = new Stages(world, ringing(world, outside, 0), { parallelism: 2 })
    const from = { checkpointId, savepoint: true }
    await stages.activate({ from, store })
    expect(outside.values).toEqual([])
    // Far behind the clock of any machine that runs this.
    world.now = Date.UTC(2200, 0)
    await stages.activate({ from, store })
    for (const subtask of stages.subtasks('ring')) await stages.poke('ring', subtask)
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(FIRSTS)
  })
})

describe('asynchronous calls that were pending in one process', () => {
  /** Those for which `answers` says no never come to an end. */
  const asking = (world: StageWorld, outside: Outside, asked: number[], answers: (n: number) => boolean, limit = new ReadLimit()) => {
    const deserialize = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data)) as Reading
    return (env: StreamExecutionEnvironment) => {
      const source = bothWaysSource('readings', world.streams.stream('readings'), deserialize, limit)
      const all = env
        .fromSource(source, WatermarkStrategy.noWatermarks<Reading>())
        .uid('readings')
        .setParallelism(limit.records === Number.POSITIVE_INFINITY ? 1 : SPLITS.length)
        .keyBy(({ key }) => key)
      AsyncDataStream.unorderedWait(
        all,
        async ({ n }: Reading) => {
          asked.push(n)
          if (!answers(n)) await new Promise(() => {})
          return [n]
        },
        { timeoutMs: 0 },
      )
        .uid('ask')
        .sinkTo(bothWays(outside))
        .uid('out')
    }
  }

  it.each([1, 3])('are called again in stages at parallelism %s, and only then, however often an instance begins cold', async (parallelism) => {
    const world = newWorld()
    put(world, 0, HALF)
    const outside = new Outside()
    const limit = new ReadLimit(HALF / SPLITS.length)
    const options = { threads: 0, maxParallelism: MAX_PARALLELISM }
    const before: number[] = []
    const handle = await run(
      defineJob(
        'job',
        asking(world, outside, before, (n) => n % 4 !== 0, limit),
      ),
      options,
    )
    await until(() => before.length === HALF && outside.values.length === (HALF * 3) / 4)
    const { savepoint: root = '' } = await handle.stop({ savepointDir: await tempFolder() })
    const store = new CheckpointStore(new FileBlobStore(root), { root })
    const { checkpointId } = await store.load('savepoint')
    const after: number[] = []
    const stages = new Stages(
      world,
      asking(world, outside, after, () => true),
      { parallelism },
    )
    await stages.activate({ from: { checkpointId, savepoint: true }, store })
    for (let i = 0; i < 3; i++) {
      stages.crash()
      for (const subtask of stages.subtasks('ask')) await stages.poke('ask', subtask)
      put(world, HALF + i, HALF + i + 1)
      await stages.comeToRest()
    }
    expect(outside.values.toSorted((x, y) => Number(x) - Number(y))).toEqual(readings(0, HALF + 3).map(({ n }) => n))
    expect(after.toSorted((x, y) => x - y)).toEqual([
      ...readings(0, HALF)
        .map(({ n }) => n)
        .filter((n) => n % 4 === 0),
      HALF,
      HALF + 1,
      HALF + 2,
    ])
  })
})

describe('broadcast state', () => {
  interface Rule {
    readonly name: string
    readonly factor: number
  }
  const RULES: readonly Rule[] = ['double', 'triple', 'five'].map((name, i) => ({ name, factor: [2, 3, 5][i] }))
  const factors = mapState<string, number>({ name: 'factors' })

  /** What the rules make of each reading that comes once all of them are there. */
  const ruled = (world: StageWorld, outside: Outside, limits = { rules: new ReadLimit(), readings: new ReadLimit() }) => {
    const parse = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data))
    return (env: StreamExecutionEnvironment) => {
      const rules = env
        .fromSource(bothWaysSource<Rule>('rules', world.streams.stream('rules'), parse, limits.rules), WatermarkStrategy.noWatermarks<Rule>())
        .uid('rules')
        .setParallelism(1)
      env
        .fromSource(
          bothWaysSource<Reading>('readings', world.streams.stream('readings'), parse, limits.readings),
          WatermarkStrategy.noWatermarks<Reading>(),
        )
        .uid('readings')
        .setParallelism(limits.readings.records === Number.POSITIVE_INFINITY ? 1 : SPLITS.length)
        .keyBy(({ key }) => key)
        .connect(rules.broadcast(factors))
        .process({
          processElement({ n }, context, out: { collect(value: unknown): void }) {
            out.collect({ n, product: [...context.getBroadcastState(factors).values()].reduce((product, factor) => product * factor, n) })
          },
          processBroadcastElement({ name, factor }, context) {
            context.getBroadcastState(factors).put(name, factor)
          },
        })
        .uid('rule')
        .sinkTo(bothWays(outside))
        .uid('out')
    }
  }

  function ruledWorld(checkpoints?: ConstructorParameters<typeof StageWorld>[0]): StageWorld {
    const world = new StageWorld(checkpoints)
    world.streams.create('readings', SPLITS)
    world.streams.create('rules', ['r'])
    for (const rule of RULES) world.streams.stream('rules').put('r', new TextEncoder().encode(JSON.stringify(rule)))
    return world
  }

  const PRODUCTS = sortedJson(readings(0, TOTAL).map(({ n }) => ({ n, product: n * 30 })))

  it.each([
    [2, 3],
    [3, 1],
  ])('from one process at parallelism %s to stages at %s, and to twice as many', async (before, after) => {
    const world = ruledWorld()
    const outside = new Outside()
    const limits = { rules: new ReadLimit(RULES.length), readings: new ReadLimit(0) }
    const options = { threads: 0, parallelism: before, maxParallelism: MAX_PARALLELISM }
    const handle = await run(defineJob('job', ruled(world, outside, limits)), options)
    await until(() => limits.rules.emitted === RULES.length)
    const { savepoint: root = '' } = await handle.stop({ savepointDir: await tempFolder() })
    const store = new CheckpointStore(new FileBlobStore(root), { root })
    const { checkpointId } = await store.load('savepoint')
    put(world, 0, HALF)
    const some = new Stages(world, ruled(world, outside), { parallelism: after })
    await some.activate({ from: { checkpointId, savepoint: true }, store })
    const from = await some.checkpoint('stop')
    put(world, HALF, TOTAL)
    const twice = new Stages(world, ruled(world, outside), { revision: '2', parallelism: after * 2 })
    await twice.activate({ from, retire: { ...some.deployment, graph: some.graph } })
    expect(sortedJson(outside.values)).toEqual(PRODUCTS)
  })

  it.each([
    [3, 1],
    [1, 2],
  ])('from stages at parallelism %s to one process at %s', async (before, after) => {
    const root = await tempFolder()
    const world = ruledWorld({ blobs: new FileBlobStore(root), root })
    const outside = new Outside()
    const stages = await Stages.activated(world, ruled(world, outside), { parallelism: before })
    const { checkpointId } = await stages.checkpoint('stop')
    put(world, 0, TOTAL)
    const restoreFrom = `${root}/chk-${checkpointId}`
    const options = { threads: 0, parallelism: after, maxParallelism: MAX_PARALLELISM, restoreFrom }
    const handle = await run(defineJob('job', ruled(world, outside)), options)
    await handle.result()
    expect(sortedJson(outside.values)).toEqual(PRODUCTS)
  })
})
