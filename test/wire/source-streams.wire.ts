import { MergeShardsCommand, PutRecordCommand, SplitShardCommand } from '@aws-sdk/client-kinesis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { awsClients, KinesisSourceStreams } from '../../runtime/backends/aws/index.js'
import { type OpenSourceStreams, type Split, sourceStreamsContract } from '../backends/source-streams-contract.js'
import { FaultProxy, type Intercept, jsonError } from './fault-proxy.js'
import { shardsOf } from './kinesis-shards.js'
import { createStream, servers, streamActive } from './wire.js'

const HALF = 1n << 127n
const QUARTER = 1n << 126n
/** Hash keys of the splits while they are open. `e` has those of `b` and of `c`, its neighbour. */
const HASH_KEYS: Readonly<Record<Split, bigint>> = { a: 0n, b: HALF, c: QUARTER, d: 0n, e: QUARTER }

const { kinesis } = awsClients({ endpoints: { kinesis: servers.kinesis } })
let proxy: FaultProxy

beforeAll(async () => {
  proxy = await FaultProxy.open(servers.kinesis)
})
afterAll(() => proxy.close())

const shardId = (index: number) => `shardId-${String(index).padStart(12, '0')}`
/** Of a split, the shard of the lower hash keys gets the lower number. */
const IDS: Readonly<Record<Split, string>> = { a: shardId(0), b: shardId(1), d: shardId(2), c: shardId(3), e: shardId(4) }

async function open(records: Partial<Record<Split, number>>): Promise<OpenSourceStreams> {
  const StreamName = await createStream(kinesis, 2)
  const positions = {} as Record<Split, readonly bigint[]>
  const fill = async (...splits: readonly Split[]) => {
    for (const split of splits) {
      const numbers: bigint[] = []
      for (let i = 0; i < (records[split] ?? 0); i++) {
        const input = { StreamName, Data: Uint8Array.of(i), PartitionKey: 'p', ExplicitHashKey: String(HASH_KEYS[split]) }
        const { ShardId, SequenceNumber } = await kinesis.send(new PutRecordCommand(input))
        expect(ShardId).toBe(IDS[split])
        numbers.push(BigInt(SequenceNumber as string))
      }
      positions[split] = numbers
    }
  }
  await fill('a', 'b')
  await kinesis.send(new SplitShardCommand({ StreamName, ShardToSplit: IDS.a, NewStartingHashKey: String(QUARTER) }))
  await streamActive(kinesis, StreamName)
  await fill('c', 'd')
  await kinesis.send(new MergeShardsCommand({ StreamName, ShardToMerge: IDS.c, AdjacentShardToMerge: IDS.b }))
  await streamActive(kinesis, StreamName)
  await fill('e')
  const forgotten = new Set<string>()
  proxy.intercept = forgetting(StreamName, forgotten)
  return {
    streams: new KinesisSourceStreams(awsClients({ endpoints: { kinesis: proxy.url } }).kinesis, { clicks: StreamName }),
    stream: 'clicks',
    ids: IDS,
    positions,
    forget: (splitId) => void forgotten.add(splitId),
  }
}

/** No server's shards expire while a test waits: those that are to be forgotten are taken out of the answers, as Kinesis does. */
function forgetting(stream: string, forgotten: ReadonlySet<string>): Intercept {
  return async (request, forward) => {
    const input = JSON.parse(request.body.toString())
    if (input.StreamName === stream && forgotten.has(input.ShardId)) return jsonError(400, 'ResourceNotFoundException')
    const answer = await forward(request)
    if (request.operation !== 'ListShards' || answer.status !== 200) return answer
    const { Shards, ...rest } = JSON.parse(answer.body.toString())
    const kept = Shards.filter(({ ShardId }: { ShardId: string }) => !forgotten.has(ShardId))
    return { ...answer, body: Buffer.from(JSON.stringify({ ...rest, Shards: kept })) }
  }
}

sourceStreamsContract('Kinesis of kinesalite', open)

describe('KinesisSourceStreams', () => {
  it('asks again when it is throttled', async () => {
    const { streams, stream, ids } = await open({ b: 1 })
    const throttled = new Map([
      ['ListShards', 'LimitExceededException'],
      ['GetShardIterator', 'ProvisionedThroughputExceededException'],
      ['GetRecords', 'ProvisionedThroughputExceededException'],
    ])
    proxy.intercept = (request, forward) => {
      const error = throttled.get(request.operation)
      throttled.delete(request.operation)
      return error === undefined ? forward(request) : jsonError(400, error)
    }
    proxy.requests.length = 0
    expect(await streams.drained(stream, ids.b, undefined)).toBe(false)
    expect(proxy.requests.map(({ operation }) => operation)).toEqual([
      'ListShards',
      'ListShards',
      'GetShardIterator',
      'GetShardIterator',
      'GetRecords',
      'GetRecords',
    ])
  })

  it('fails when the stream is not there', async () => {
    const streams = new KinesisSourceStreams(kinesis, { clicks: 'absent' })
    await expect(streams.splits('clicks')).rejects.toMatchObject({ code: 'AWS_CALL' })
    await expect(streams.drained('clicks', shardId(0), undefined)).rejects.toMatchObject({ code: 'AWS_CALL' })
  })

  it('reads every page of a list of shards', async () => {
    const name = await createStream(kinesis, 8)
    const streams = new KinesisSourceStreams(awsClients({ endpoints: { kinesis: proxy.url } }).kinesis, { clicks: name })
    proxy.requests.length = 0
    proxy.intercept = inPages(name, 3)
    expect((await streams.splits('clicks')).map(({ splitId }) => splitId)).toEqual((await shardsOf(kinesis, name)).map(({ ShardId }) => ShardId))
    expect(proxy.count('ListShards')).toBe(3)
  })
})

/** kinesalite gives all shards at once, and MiniStack does not know its own tokens. */
function inPages(StreamName: string, length: number): Intercept {
  return async (request, forward) => {
    const input = JSON.parse(request.body.toString())
    if (request.operation !== 'ListShards') return forward(request)
    if ((input.StreamName === undefined) === (input.NextToken === undefined)) return jsonError(400, 'InvalidArgumentException')
    const answer = await forward({ ...request, body: Buffer.from(JSON.stringify({ StreamName })) })
    const { Shards } = JSON.parse(answer.body.toString())
    const from = Number(input.NextToken ?? 0)
    const more = from + length < Shards.length ? { NextToken: String(from + length) } : {}
    return { ...answer, body: Buffer.from(JSON.stringify({ Shards: Shards.slice(from, from + length), ...more })) }
  }
}
