import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DynamoDbCommitLog, KinesisChannel, KinesisSourceStreams, S3BlobStore, SqsPokes } from '../../runtime/backends/aws/index.js'
import { hashKeyOf } from '../../runtime/backends/aws/kinesis-channel.js'
import { AwsImitation } from '../aws/imitation.js'
import { blobStoreContract } from './blob-store-contract.js'
import { channelContract } from './channel-contract.js'
import { commitLogContract } from './commit-log-contract.js'
import { pokesContract } from './pokes-contract.js'
import { type OpenSourceStreams, type Split, sourceStreamsContract } from './source-streams-contract.js'

let aws: AwsImitation

beforeEach(() => {
  aws = new AwsImitation()
})
afterEach(() => {
  aws.restore()
})

const openLog = () => new DynamoDbCommitLog(new DynamoDBClient(), 'table')
const shardId = (index: number) => `shardId-${String(index).padStart(12, '0')}`

function openStreams(records: Partial<Record<Split, number>>): OpenSourceStreams {
  aws.createStream('stack-clicks', 2)
  const ids = { a: shardId(0), b: shardId(1), c: shardId(2), d: shardId(3), e: shardId(4) }
  const positions = {} as Record<Split, readonly bigint[]>
  const fill = (...splits: readonly Split[]) => {
    for (const split of splits) {
      const number = 'abcde'.indexOf(split)
      aws.produce('stack-clicks', number, Array.from({ length: records[split] ?? 0 }, String))
      positions[split] = aws.shard('stack-clicks', number).map(({ sequence }) => sequence)
    }
  }
  fill('a', 'b')
  aws.reshard('stack-clicks', [0], 2)
  fill('c', 'd')
  aws.reshard('stack-clicks', [1, 2], 1)
  fill('e')
  return {
    streams: new KinesisSourceStreams(new KinesisClient(), { clicks: 'stack-clicks' }),
    stream: 'clicks',
    ids,
    positions,
    forget: (splitId) => aws.expireShard('stack-clicks', Number(splitId.slice(-12))),
  }
}

commitLogContract('DynamoDB', async () => openLog())
blobStoreContract('S3', async () => new S3BlobStore(new S3Client(), 'bucket', 'some/prefix/'))
channelContract('Kinesis', async (subtasks) => {
  aws.createStream('sum', subtasks)
  const received = (subtask: number) => aws.shard('sum', subtask).map(({ data }) => new TextDecoder().decode(data))
  return { channel: new KinesisChannel(new KinesisClient(), 'sum', subtasks), received }
})
sourceStreamsContract('Kinesis', async (records) => openStreams(records))
sourceStreamsContract('Kinesis, whose reads give nothing at first', async (records) => {
  aws.emptyReads = true
  return openStreams(records)
})
pokesContract('SQS', async (start) => {
  let now = start
  let queue: { readonly stage: string; readonly body: string; readonly at: number }[] = []
  const pokes = new SqsPokes({
    now: () => now,
    send: async (stage, body, delaySeconds) => {
      expect(delaySeconds).toBe(Math.min(900, Math.max(0, Math.floor(delaySeconds))))
      queue.push({ stage, body, at: now + delaySeconds * 1_000 })
    },
  })
  const until = async (end: number) => {
    const poked: string[] = []
    for (;;) {
      const next = queue.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (next === undefined) break
      queue = queue.filter((message) => message !== next)
      now = next.at
      const target = await pokes.arrived(JSON.parse(next.body))
      if (target === undefined) continue
      expect(target.stage).toBe(next.stage)
      poked.push(`${target.stage}/${target.subtask}`)
    }
    now = end
    return poked
  }
  return { pokes, until }
})

describe('DynamoDbCommitLog', () => {
  it('reads all pages, and the head with one call', async () => {
    const log = openLog()
    for (let version = 1; version <= 7; version++) await log.append('l', { version, payload: Uint8Array.of(version) })
    await log.putControl('l', { serial: 1, payload: Uint8Array.of(0) })
    aws.calls.length = 0
    await log.read('l', 0)
    expect(aws.count('Query')).toBe(3)
    await log.head('l')
    expect(aws.count('Query')).toBe(4)
  })

  it('finds the head behind the control item when a page has room for one item only', async () => {
    aws.pageSize = 1
    const log = openLog()
    await log.putControl('l', { serial: 1, payload: Uint8Array.of(0) })
    await log.append('l', { version: 1, payload: Uint8Array.of(1) })
    expect(await log.head('l')).toMatchObject({ item: { version: 1 }, control: { serial: 1 } })
  })

  it('names the time to live in seconds, not before it is over', async () => {
    await openLog().append('l', { version: 1, payload: Uint8Array.of(1), expiresAtMs: 1_700_000_000_001 })
    expect(aws.items.get('l\nv0000000000000001')?.numbers).toEqual({ expiresAt: '1700000001' })
    await openLog().putControl('l', { serial: 1, payload: Uint8Array.of(1), expiresAtMs: 1_700_000_000_001 })
    const expiring = [...aws.items].filter(([, { numbers }]) => numbers.serial === '1').map(([, { numbers }]) => numbers)
    expect(expiring).toEqual([{ serial: '1', expiresAt: '1700000001' }])
    // Told again, it stays.
    await openLog().putControl('l', { serial: 2, payload: Uint8Array.of(1) })
    expect([...aws.items].filter(([, { numbers }]) => numbers.serial === '2').map(([, { numbers }]) => numbers)).toEqual([{ serial: '2' }])
  })

  it('refuses items that somebody else has put there', async () => {
    const log = openLog()
    const put = (sk: string) => aws.items.set(`l\n${sk}`, { pk: 'l', sk, payload: Uint8Array.of(1), numbers: {} })
    put('z')
    await expect(log.head('l')).rejects.toMatchObject({ code: 'LOG_CORRUPT' })
    aws.items.clear()
    put('vision')
    await expect(log.read('l', 0)).rejects.toMatchObject({ code: 'LOG_CORRUPT', message: expect.stringContaining('vision') })
  })
})

describe('KinesisChannel', () => {
  it('names the middle of a shard’s hash keys, so that it does not matter how Kinesis rounds', () => {
    const quarter = 2n ** 126n
    expect(['0/1', '0/2', '1/2', '1/3'].map((name) => hashKeyOf(Number(name[0]), Number(name[2])))).toEqual(
      [2n, 1n, 3n, 2n].map((quarters) => String(quarters * quarter)),
    )
  })

  it('keeps within 5 MiB and 500 records a request, keys counted', async () => {
    const send = async (subtasks: number, bytes: number) => {
      aws.createStream(`${subtasks} x ${bytes}`, subtasks)
      const channel = new KinesisChannel(new KinesisClient(), `${subtasks} x ${bytes}`, subtasks)
      expect(await channel.send(Array.from({ length: subtasks }, (_, to) => ({ to, bytes: new Uint8Array(bytes) })))).toEqual([])
      return aws.count('PutRecords', `${subtasks} x ${bytes}`)
    }
    expect(await send(5, 1024 * 1024 - 1)).toBe(1)
    expect(await send(5, 1024 * 1024)).toBe(2)
    expect(await send(500, 1)).toBe(1)
    expect(await send(501, 1)).toBe(2)
  })
})

describe('KinesisSourceStreams', () => {
  it('leaves the reads of an open shard to its mapping', async () => {
    const { streams, stream, ids, positions } = openStreams({ d: 4 })
    expect(await streams.drained(stream, ids.d, positions.d[3])).toBe(false)
    expect([aws.count('GetShardIterator'), aws.count('GetRecords')]).toEqual([0, 0])
  })

  it('reads on in a closed shard that has nothing behind, until there is no next iterator', async () => {
    aws.emptyReads = true
    aws.behindLatest = 0
    const { streams, stream, ids, positions } = openStreams({ b: 2 })
    expect(await streams.drained(stream, ids.b, positions.b[0])).toBe(false)
    expect(await streams.drained(stream, ids.b, positions.b[1])).toBe(true)
  })

  it('fails for a stream that nobody named, and for one that is not there', async () => {
    const streams = new KinesisSourceStreams(new KinesisClient(), { clicks: 'absent' })
    await expect(streams.splits('visits')).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    await expect(streams.splits('clicks')).rejects.toMatchObject({ code: 'AWS_CALL' })
    await expect(streams.drained('clicks', shardId(0), undefined)).rejects.toMatchObject({ code: 'AWS_CALL' })
  })
})

describe('SqsPokes', () => {
  it('says AWS_CALL when a message cannot be sent', async () => {
    const pokes = new SqsPokes({ now: () => 0, send: () => Promise.reject(new Error('no queue')) })
    await expect(pokes.poke({ stage: 's', subtask: '0' }, 5)).rejects.toMatchObject({ code: 'AWS_CALL', retryable: true })
  })
})
