import { describe, expect, it } from 'vitest'
import { defineJob, type StreamExecutionEnvironment } from '../../runtime/api/index.js'
import { FileBlobStore } from '../../runtime/backends/file/index.js'
import { CheckpointStore } from '../../runtime/checkpoint/index.js'
import { type Sink, type SinkWriter, WatermarkStrategy } from '../../runtime/index.js'
import { run } from '../../runtime/local/index.js'
import { tempFolder } from '../backends/temp-folder.js'
import { until } from '../local/run-job.js'
import { bothWaysSource, ReadLimit } from './both-ways-source.js'
import { Outside, Stages, StageWorld, sortedJson, thrownBy } from './stage-world.js'

const SPLITS = ['a', 'b']
const MAX_PARALLELISM = 16
const TOTAL = 40
const HALF = 20

interface Reading {
  readonly key: string
  readonly n: number
}

function readings(from: number, to: number): Reading[] {
  return Array.from({ length: to - from }, (_, i) => ({ key: `k${(from + i) % 5}`, n: from + i }))
}

function numbers(from: number, to: number): string[] {
  return sortedJson(readings(from, to).map(({ n }) => n))
}

function put(world: StageWorld, from: number, to: number): void {
  for (const reading of readings(from, to)) {
    world.streams.stream('readings').put(SPLITS[reading.n % 2], new TextEncoder().encode(JSON.stringify(reading)), { arrivalMs: reading.n })
  }
}

/** In one process a writer writes at once; in stages each batch waits for its checkpoint. */
function bothWays(outside: Outside, writer: Partial<SinkWriter<unknown>> = {}): Sink<unknown> {
  return {
    ...outside.sink('onCheckpoint'),
    createWriter: () => ({
      write: (value) => void outside.applied.push({ marker: { writer: 'embedded', attempt: 0, version: 0 }, values: [value] }),
      prepareCommit: () => [],
      close: () => {},
      ...writer,
    }),
  }
}

function withoutTransactor(outside: Outside): Sink<unknown> {
  const { createTransactor: _, ...sink } = bothWays(outside)
  return sink
}

function job(world: StageWorld, sink: Sink<unknown>, limit = new ReadLimit()) {
  const deserialize = (data: Uint8Array) => JSON.parse(new TextDecoder().decode(data)) as Reading
  return (env: StreamExecutionEnvironment) => {
    env
      .fromSource(bothWaysSource('readings', world.streams.stream('readings'), deserialize, limit), WatermarkStrategy.noWatermarks<Reading>())
      .uid('readings')
      .setParallelism(limit.records === Number.POSITIVE_INFINITY ? 1 : SPLITS.length)
      .keyBy(({ key }) => key)
      .map(({ n }) => n)
      .uid('n')
      .sinkTo(sink)
      .uid('out')
  }
}

describe('a sink that waits for checkpoints, from one process to stages', () => {
  async function halfEmbedded(sink: (outside: Outside) => Sink<unknown>) {
    const world = StageWorld.withStream('readings', SPLITS)
    put(world, 0, HALF)
    const outside = new Outside()
    const limit = new ReadLimit(HALF / SPLITS.length)
    const handle = await run(defineJob('job', job(world, sink(outside), limit)), { threads: 0, parallelism: 2, maxParallelism: MAX_PARALLELISM })
    await until(() => limit.emitted === HALF)
    const { savepoint: root = '' } = await handle.stop({ savepointDir: await tempFolder() })
    const store = new CheckpointStore(new FileBlobStore(root), { root })
    const { checkpointId } = await store.load('savepoint')
    return { world, outside, stages: new Stages(world, job(world, sink(outside))), restore: { from: { checkpointId, savepoint: true }, store } }
  }

  it('goes on: what its subtasks left in the savepoint is empty', async () => {
    const { world, outside, stages, restore } = await halfEmbedded(bothWays)
    put(world, HALF, TOTAL)
    await stages.activate(restore)
    await stages.comeToRest()
    // Cold, with what the log says of those elements.
    stages.crash()
    put(world, TOTAL, TOTAL + 1)
    await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(numbers(0, HALF))
    await stages.checkpoint()
    expect(sortedJson(outside.values)).toEqual(numbers(0, TOTAL + 1))
  })

  it.each([
    ['what waits to be committed', { prepareCommit: () => ['open'] }, { createCommitter: () => ({ commit: () => {} }) }],
    ['the state of a writer', { snapshotState: () => ['state'] }, {}],
  ])('is refused with %s in it', async (_, writer, committing) => {
    const { stages, restore } = await halfEmbedded((outside) => ({ ...bothWays(outside, writer), ...committing }))
    const error = await thrownBy(stages.activate(restore))
    expect(error).toMatchObject({ code: 'PLAN_INVALID', uid: 'out' })
    expect(error.message).toMatch(/prepared and not committed[\s\S]*uid out[\s\S]*allowNonRestoredState/)
  })
})

describe('a sink that waits for checkpoints, from stages to one process', () => {
  async function halfInStages(sink: (outside: Outside) => Sink<unknown>, released: boolean) {
    const root = await tempFolder()
    const world = new StageWorld({ blobs: new FileBlobStore(root), root })
    world.streams.create('readings', SPLITS)
    put(world, 0, HALF / 2)
    const outside = new Outside()
    const stages = await Stages.activated(world, job(world, sink(outside)), { parallelism: 2 })
    await stages.comeToRest()
    put(world, HALF / 2, HALF)
    await stages.comeToRest()
    await stages.control.begin('stop')
    await stages.comeToRest()
    const progress = await stages.control.poll()
    if (progress.status !== 'completed') throw new Error(progress.status)
    if (released) await stages.comeToRest()
    expect(sortedJson(outside.values)).toEqual(released ? numbers(0, HALF) : [])
    put(world, HALF, TOTAL)
    const finish = async () => {
      const options = { threads: 0, parallelism: 3, maxParallelism: MAX_PARALLELISM, restoreFrom: `${root}/chk-${progress.checkpointId}` }
      const handle = await run(defineJob('job', job(world, sink(outside))), options)
      await handle.result()
    }
    return { outside, stages, finish }
  }

  it('repeats nothing that the stages have written', async () => {
    const { outside, finish } = await halfInStages(bothWays, true)
    await finish()
    expect(sortedJson(outside.values)).toEqual(numbers(0, TOTAL))
    expect(outside.refused.length).toBeGreaterThan(0)
  })

  it('writes what the stages never came to write, and they not again when they do', async () => {
    const { outside, stages, finish } = await halfInStages(bothWays, false)
    await finish()
    expect(sortedJson(outside.values)).toEqual(numbers(0, TOTAL))
    await stages.comeToRest({ without: ['readings'] })
    expect(sortedJson(outside.values)).toEqual(numbers(0, TOTAL))
    expect(outside.refused.length).toBeGreaterThan(0)
  })

  it('is at least once without a transactor', async () => {
    const { outside, finish } = await halfInStages(withoutTransactor, false)
    await finish()
    expect(sortedJson(outside.values)).toEqual(numbers(0, TOTAL))
  })
})
