import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KinesisClient, MergeShardsCommand, PutRecordCommand, type Shard, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import {
  defineJob,
  type JobHandle,
  type KinesisSourceOptions,
  kinesisSource,
  type RunOptions,
  run,
  type Sink,
  utf8Line,
  WatermarkStrategy,
} from 'millrace'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { aggregate } from '../connectors/kinesis/aggregate.js'
import { until } from '../local/run-job.js'
import { shardsOf } from './kinesis-shards.js'
import { createStream, servers, streamActive } from './wire.js'

let kinesis: KinesisClient
let stream: string
let seen: string[]
let folder: string
let committed: Set<string>

interface Batch {
  readonly id: string
  readonly words: readonly string[]
}

beforeAll(() => {
  process.env.AWS_ENDPOINT_URL_KINESIS = servers.kinesis
  kinesis = new KinesisClient({ requestHandler: new NodeHttpHandler() })
})
afterAll(() => kinesis.destroy())

const handles: JobHandle[] = []
beforeEach(async () => {
  seen = []
  committed = new Set()
  folder = await mkdtemp(join(tmpdir(), 'millrace-kinesis-'))
})
afterEach(async () => {
  for (const handle of handles.splice(0)) await handle.cancel().catch(() => undefined)
  await rm(folder, { recursive: true, force: true })
})

/** `key:n` as `key:n count`, with the count of the key so far. */
const counting = (options: Partial<KinesisSourceOptions<string>> = {}, check: (word: string) => void = () => {}) =>
  defineJob('kinesis-counts', (env) => {
    const sink: Sink<string, Batch> = {
      name: 'seen',
      createWriter: ({ subtaskIndex }) => {
        const written: string[] = []
        const batch = (checkpointId: number) => ({ id: `${subtaskIndex} ${checkpointId}`, words: written.splice(0) })
        return { write: (value) => void written.push(value), prepareCommit: (checkpointId) => [batch(checkpointId)], close: () => {} }
      },
      // A restart commits again what may not have been committed.
      createCommitter: () => ({
        commit: (batches) => {
          for (const { id, words } of batches) {
            if (!committed.has(id)) seen.push(...words)
            committed.add(id)
          }
        },
      }),
    }
    env
      .fromSource(kinesisSource({ stream: 'words', deserialize: utf8Line, pollIntervalMs: 50, ...options }), WatermarkStrategy.noWatermarks())
      .uid('words')
      .map((word) => {
        check(word)
        return { word, key: word.split(':')[0], count: 1 }
      })
      .keyBy(({ key }) => key)
      .reduce((a, b) => ({ ...b, count: a.count + 1 }))
      .uid('count')
      .map(({ word, count }) => `${word} ${count}`)
      .sinkTo(sink)
      .uid('seen')
  })

async function start(job = counting(), options: RunOptions = {}): Promise<JobHandle> {
  const checkpoints = { checkpointDir: join(folder, 'checkpoints'), checkpointIntervalMs: 100 }
  const handle = await run(job, { threads: 0, parallelism: 2, bindings: { words: stream }, ...checkpoints, ...options })
  handles.push(handle)
  return handle
}

async function put(from: number, to: number, keys = 8): Promise<string[]> {
  const words = Array.from({ length: to - from }, (_, i) => `k${(from + i) % keys}:${from + i}`)
  // One at a time and by key: PutRecords keeps no order.
  for (const word of words) {
    const [PartitionKey] = word.split(':')
    await kinesis.send(new PutRecordCommand({ StreamName: stream, Data: new TextEncoder().encode(word), PartitionKey }))
  }
  return words
}

/** All words once, each as the next of its key. */
function expectEachOnce(words: readonly string[]): void {
  const counts = new Map<string, number>()
  const expected = words.map((word) => {
    const [key] = word.split(':')
    counts.set(key, (counts.get(key) ?? 0) + 1)
    return `${word} ${counts.get(key)}`
  })
  expect([...seen].sort()).toEqual(expected.sort())
}

async function split(shardId: string): Promise<void> {
  const { HashKeyRange } = (await shardsOf(kinesis, stream)).find(({ ShardId }) => ShardId === shardId) as Shard
  const [first, last] = [HashKeyRange?.StartingHashKey, HashKeyRange?.EndingHashKey].map((key) => BigInt(key as string))
  await kinesis.send(new SplitShardCommand({ StreamName: stream, ShardToSplit: shardId, NewStartingHashKey: String((first + last + 1n) / 2n) }))
  await streamActive(kinesis, stream)
}

async function merge(one: string, other: string): Promise<void> {
  await kinesis.send(new MergeShardsCommand({ StreamName: stream, ShardToMerge: one, AdjacentShardToMerge: other }))
  await streamActive(kinesis, stream)
}

const shard = (number: number) => `shardId-${String(number).padStart(12, '0')}`
const count = (n: number) => until(() => seen.length >= n, 30_000)

describe('a Kinesis source in one process, on a real protocol', () => {
  it('reads each record once and in order through splits and merges', async () => {
    stream = await createStream(kinesis, 2)
    const words = await put(0, 40)
    await start()
    await count(40)
    await split(shard(0))
    words.push(...(await put(40, 80)))
    await count(80)
    // Shard 3 has the upper half of shard 0, next to shard 1.
    await merge(shard(3), shard(1))
    words.push(...(await put(80, 120)))
    await split(shard(2))
    words.push(...(await put(120, 160)))
    await count(160)
    expectEachOnce(words)
  })

  it('reads a stream that was resharded before it began', async () => {
    stream = await createStream(kinesis, 1)
    const words = await put(0, 20)
    await split(shard(0))
    words.push(...(await put(20, 40)))
    await merge(shard(1), shard(2))
    words.push(...(await put(40, 60)))
    await start()
    await count(60)
    expectEachOnce(words)
  })

  it('goes on exactly from a savepoint, at another parallelism, with a reshard between', async () => {
    stream = await createStream(kinesis, 2)
    const words = await put(0, 40)
    const first = await start()
    await count(40)
    await split(shard(1))
    words.push(...(await put(40, 60)))
    await count(60)
    const { savepoint } = await first.stop({ savepointDir: join(folder, 'savepoints') })
    words.push(...(await put(60, 100)))
    await merge(shard(2), shard(3))
    words.push(...(await put(100, 120)))
    await start(counting(), { parallelism: 3, restoreFrom: savepoint as string, checkpointDir: join(folder, 'others') })
    await count(120)
    expectEachOnce(words)
  })

  it('counts each record once when the job fails and restarts', async () => {
    stream = await createStream(kinesis, 2)
    let failures = 0
    const check = (word: string) => {
      if (word === 'k2:50' && failures++ < 2) throw new Error('by chance')
    }
    const words = await put(0, 40)
    await start(counting({}, check), { restartStrategy: { kind: 'fixed-delay', attempts: 5, delayMs: 10 } })
    await count(40)
    words.push(...(await put(40, 80)))
    await split(shard(0))
    words.push(...(await put(80, 100)))
    await count(100)
    expectEachOnce(words)
    expect(failures).toBe(3)
  })

  it('takes aggregated records apart, and leaves out what a reshard has put into the wrong shard', async () => {
    stream = await createStream(kinesis, 1)
    await split(shard(0))
    const middle = 2n ** 127n
    const parts = [
      { data: 'low:1', partitionKey: 'x', explicitHashKey: String(middle - 1n) },
      { data: 'low:2', partitionKey: 'x', explicitHashKey: '0' },
      { data: 'high:3', partitionKey: 'y', explicitHashKey: String(middle) },
    ]
    await kinesis.send(new PutRecordCommand({ StreamName: stream, Data: aggregate(parts), PartitionKey: 'x', ExplicitHashKey: '5' }))
    await kinesis.send(
      new PutRecordCommand({ StreamName: stream, Data: aggregate(parts.slice(2)), PartitionKey: 'y', ExplicitHashKey: String(middle) }),
    )
    await start()
    await count(3)
    expectEachOnce(['low:1', 'low:2', 'high:3'])

    seen = []
    committed = new Set()
    await handles[0].cancel()
    await start(counting({ aggregatedRecords: 'all' }), { checkpointDir: join(folder, 'others') })
    await count(4)
    expect(seen.filter((word) => word.startsWith('high')).length).toBe(2)
  })

  it('begins with what comes from now on, and goes on there when it is restored before anything came', async () => {
    stream = await createStream(kinesis, 1)
    await put(0, 10)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const job = counting({ start: 'latest' })
    const first = await start(job)
    await until(() => first.status === 'running')
    const { savepoint } = await first.stop({ savepointDir: join(folder, 'savepoints') })
    const words = await put(10, 20)
    await start(job, { restoreFrom: savepoint as string, checkpointDir: join(folder, 'others') })
    await count(10)
    expectEachOnce(words)
  })

  it('begins at a time', async () => {
    stream = await createStream(kinesis, 1)
    await put(0, 10)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const timestampMs = Date.now() - 500
    const words = await put(10, 20)
    await start(counting({ start: { timestampMs } }))
    await count(10)
    expectEachOnce(words)
  })

  it('says what is wrong when there is no such stream', async () => {
    stream = 'nowhere'
    const handle = await start()
    await expect(handle.result()).rejects.toThrow(
      /SOURCE_FAILED: ListShards failed with ResourceNotFoundException.*Kinesis stream "nowhere".*--bind/s,
    )
  })
})
