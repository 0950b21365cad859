import { GetShardIteratorCommand, type KinesisClient, ListShardsCommand, type PutRecordsCommand, type Shard } from '@aws-sdk/client-kinesis'
import type { S3Client } from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { KinesisChannel, KinesisSourceStreams, S3BlobStore } from '../../runtime/backends/aws/index.js'

const shardId = (index: number) => `shardId-${String(index).padStart(12, '0')}`

describe('KinesisChannel, when a request is not taken as a whole', () => {
  const MIB = 1024 * 1024
  const entry = (to: number, name: string, size = 1) => ({ to, bytes: new TextEncoder().encode(name.padEnd(size)) })
  const nameOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(0, 9)).trim()

  /** Answers each request with what `refuse` says of its records. */
  function channelThat(refuse: (name: string) => 'ErrorCode' | 'no answer' | undefined) {
    const requests: string[][] = []
    const client = {
      send: async ({ input }: PutRecordsCommand) => {
        const names = (input.Records ?? []).map(({ Data }) => nameOf(Data as Uint8Array))
        requests.push(names)
        const answers = { ErrorCode: { ErrorCode: 'ProvisionedThroughputExceededException' }, 'no answer': {} }
        return { Records: names.map((name, index) => answers[refuse(name) as keyof typeof answers] ?? { SequenceNumber: String(index) }) }
      },
    } as unknown as KinesisClient
    return { requests, channel: new KinesisChannel(client, 's', 3) }
  }

  it.each(['ErrorCode', 'no answer'] as const)(
    'puts nothing behind a refused record (%s) into its shard, and says what has not gone',
    async (how) => {
      const { requests, channel } = channelThat((name) => (name === 'a2' ? how : undefined))
      const failed = await channel.send([
        entry(0, 'a1'),
        entry(0, 'a2'),
        entry(1, 'b1'),
        entry(0, 'a3'),
        entry(1, 'b2'),
        entry(1, 'b3'),
        entry(1, 'b4'),
      ])
      expect(requests).toEqual([['a1', 'b1'], ['a2', 'b2'], ['b3'], ['b4']])
      expect(failed.map(({ bytes }) => nameOf(bytes))).toEqual(['a2', 'a3'])
    },
  )

  it('lets no record overtake one of its shard that did not fit', async () => {
    const { requests, channel } = channelThat(() => undefined)
    expect(await channel.send([entry(0, 'a1', 4 * MIB), entry(1, 'b1', 2 * MIB), entry(1, 'b2'), entry(2, 'c1')])).toEqual([])
    expect(requests).toEqual([['a1', 'c1'], ['b1'], ['b2']])
  })
})

describe('S3BlobStore, when S3 does not do it at once', () => {
  const conflict = () => Object.assign(new Error('conflict'), { name: 'ConditionalRequestConflict', $metadata: { httpStatusCode: 409 } })

  /** Does at each call the next of these; the last one ever after. */
  function storeThat(...next: (() => unknown)[]) {
    const calls = { count: 0 }
    const client = {
      send: async () => {
        return next[Math.min(calls.count++, next.length - 1)]()
      },
    } as unknown as S3Client
    return { calls, store: new S3BlobStore(client, 'bucket') }
  }
  const fail = (error: Error) => () => {
    throw error
  }
  const body = (read: () => Promise<Uint8Array>) => () => ({ Body: { transformToByteArray: read } })
  const whole = body(async () => Uint8Array.of(7))
  const broken = body(() => Promise.reject(new Error('aborted')))

  it('puts again what S3 could not decide, four times at most', async () => {
    const undecided = storeThat(fail(conflict()), fail(conflict()), () => ({}))
    expect(await undecided.store.put('a', Uint8Array.of(1))).toBe('stored')
    expect(undecided.calls.count).toBe(3)
    const never = storeThat(fail(conflict()))
    await expect(never.store.put('a', Uint8Array.of(1))).rejects.toMatchObject({ code: 'AWS_CALL' })
    expect(never.calls.count).toBe(4)
    const denied = storeThat(fail(Object.assign(new Error('no'), { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } })))
    await expect(denied.store.put('a', Uint8Array.of(1))).rejects.toMatchObject({ code: 'AWS_CALL' })
    expect(denied.calls.count).toBe(1)
  })

  it('finds another’s blob when it has put again', async () => {
    const { store } = storeThat(fail(conflict()), fail(Object.assign(new Error('there'), { $metadata: { httpStatusCode: 412 } })))
    expect(await store.put('a', Uint8Array.of(1))).toBe('exists')
  })

  it('reads again what broke off, four times at most', async () => {
    const once = storeThat(broken, whole)
    expect(await once.store.get('a')).toEqual(Uint8Array.of(7))
    const range = storeThat(broken, whole)
    expect(await range.store.getRange('a', { from: 0, to: 1 })).toEqual(Uint8Array.of(7))
    const always = storeThat(broken)
    await expect(always.store.get('a')).rejects.toMatchObject({ code: 'AWS_CALL' })
    expect(always.calls.count).toBe(4)
    // The SDK has tried this one already.
    const slow = storeThat(fail(Object.assign(new Error('slow'), { name: 'SlowDown', $metadata: { httpStatusCode: 503 } })))
    await expect(slow.store.get('a')).rejects.toMatchObject({ code: 'AWS_CALL' })
    expect(slow.calls.count).toBe(1)
  })
})

describe('KinesisSourceStreams, by what a listing and reads say', () => {
  /** Lists these shards; its reads give no records, and end after so many. */
  function streamsOf(shards: readonly Shard[], endAfter: number) {
    let reads = 0
    const client = {
      send: async (command: object) => {
        if (command instanceof ListShardsCommand) return { Shards: [...shards] }
        if (command instanceof GetShardIteratorCommand) return { ShardIterator: 'it' }
        return { Records: [], NextShardIterator: ++reads < endAfter ? 'it' : undefined }
      },
    } as unknown as KinesisClient
    return { streams: new KinesisSourceStreams(client, { clicks: 'clicks' }), reads: () => reads }
  }
  const closed: Shard = {
    ShardId: shardId(0),
    HashKeyRange: undefined,
    SequenceNumberRange: { StartingSequenceNumber: '1', EndingSequenceNumber: '9' },
  }
  const open = (index: number, parents: Partial<Shard>): Shard => ({
    ...{ ShardId: shardId(index), HashKeyRange: undefined, SequenceNumberRange: { StartingSequenceNumber: '10' } },
    ...parents,
  })

  it('does not take a closed shard to be at its end as long as the listing shows none that continues it', async () => {
    const drained = (...others: Shard[]) => streamsOf([closed, ...others], 1).streams.drained('clicks', shardId(0), 9n)
    expect(await drained()).toBe(false)
    expect(await drained(open(2, { ParentShardId: shardId(1) }))).toBe(false)
    expect(await drained(open(2, { ParentShardId: shardId(0) }))).toBe(true)
    expect(await drained(open(2, { ParentShardId: shardId(1), AdjacentParentShardId: shardId(0) }))).toBe(true)
  })

  it('does not take a stretch without records to be the end, however often it has read', async () => {
    const child = open(1, { ParentShardId: shardId(0) })
    for (const [endAfter, isEnd, most] of [
      [5, true, 5],
      [6, false, 5],
    ] as const) {
      const { streams, reads } = streamsOf([closed, child], endAfter)
      expect(await streams.drained('clicks', shardId(0), undefined)).toBe(isEnd)
      expect(reads()).toBe(most)
    }
  })

  it('lists parents before those that continue them, however Kinesis lists them', async () => {
    const { streams } = streamsOf([open(2, { ParentShardId: shardId(0) }), open(1, { ParentShardId: shardId(0) }), closed], 1)
    expect((await streams.splits('clicks')).map(({ splitId, parents }) => [splitId, parents])).toEqual([
      [shardId(0), []],
      [shardId(1), [shardId(0)]],
      [shardId(2), [shardId(0)]],
    ])
  })
})
