import { DynamoDBClient, PutItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb'
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  ListShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
} from '@aws-sdk/client-kinesis'
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { mockClient } from 'aws-sdk-client-mock'
import type { KinesisEvent } from '../../functions/stage-event.js'

interface Item {
  readonly pk: string
  readonly sk: string
  readonly payload: Uint8Array
  /** Number attributes: serial, expiresAt. */
  readonly numbers: Readonly<Record<string, string>>
}

export interface ShardRecord {
  readonly sequence: bigint
  readonly partitionKey: string
  readonly data: Uint8Array
  readonly arrivalMs: number
}

interface ImitatedShard {
  readonly records: ShardRecord[]
  readonly parents: readonly string[]
  closed: boolean
}

const HASH_SPACE = 1n << 128n
const FIRST_SEQUENCE = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898n

/**
 * DynamoDB, S3 and Kinesis as far as the functions use them, in memory, behind the SDK's clients. `restore` must be called at the end.
 * Queries and lists of shards give pages of `pageSize` items; `onPutItem` may do something before a put is looked at, or after it was done.
 */
export class AwsImitation {
  readonly items = new Map<string, Item>()
  readonly objects = new Map<string, Uint8Array>()
  readonly calls: { readonly call: string; readonly on: string }[] = []
  /** By name, the shards by number; one that has expired is undefined. */
  readonly #streams = new Map<string, (ImitatedShard | undefined)[]>()
  #sequence = FIRST_SEQUENCE
  pageSize = 3
  /** Sees each call, and may throw. */
  onCall: ((call: string, on: string) => void) | undefined
  /** What a read of a shard fails with. */
  failRead: ((on: string) => Error | undefined) | undefined
  /** Reads of a shard give nothing at first, though there may be more. */
  emptyReads = false
  /** What such a read says of how far it is behind. */
  behindLatest = 1
  beforePutItem: ((pk: string, sk: string) => void | Promise<void>) | undefined
  afterPutItem: ((pk: string, sk: string) => void | Promise<void>) | undefined
  /** Before a single record is put into a stream. */
  beforePutRecord: (() => void) | undefined
  /** Indexes of the entries of a PutRecords that are refused. */
  refuseRecords: ((stream: string, count: number) => readonly number[]) | undefined
  readonly #mocks = [mockClient(DynamoDBClient), mockClient(S3Client), mockClient(KinesisClient)] as const

  constructor() {
    const [dynamo, s3, kinesis] = this.#mocks
    dynamo.on(PutItemCommand).callsFake((input) => this.#putItem(input))
    dynamo.on(QueryCommand).callsFake((input) => this.#query(input))
    s3.on(PutObjectCommand).callsFake((input) => this.#putObject(input))
    s3.on(GetObjectCommand).callsFake((input) => this.#getObject(input))
    s3.on(DeleteObjectCommand).callsFake((input) => this.#deleteObject(input))
    s3.on(ListObjectsV2Command).callsFake((input) => this.#listObjects(input))
    kinesis.on(PutRecordsCommand).callsFake((input) => this.#putRecords(input))
    kinesis.on(PutRecordCommand).callsFake((input) => this.#putRecord(input))
    kinesis.on(ListShardsCommand).callsFake((input) => this.#listShards(input))
    kinesis.on(GetShardIteratorCommand).callsFake((input) => this.#getShardIterator(input))
    kinesis.on(GetRecordsCommand).callsFake((input) => this.#getRecords(input))
  }

  #called(call: string, on: string): void {
    this.calls.push({ call, on })
    this.onCall?.(call, on)
  }

  restore(): void {
    for (const mock of this.#mocks) mock.restore()
  }

  createStream(name: string, shards: number): void {
    this.#streams.set(name, [])
    for (let i = 0; i < shards; i++) this.#addShard(name, [])
  }

  /** Closes shards and opens others that continue them (children of one parent, or one of two); their numbers. */
  reshard(stream: string, parents: readonly number[], children: number): number[] {
    for (const parent of parents) this.#shard(stream, parent).closed = true
    return Array.from({ length: children }, () => this.#addShard(stream, parents.map(shardId)))
  }

  /** All records of the shard have expired, and the shard with them. */
  expireShard(stream: string, index: number): void {
    ;(this.#streams.get(stream) ?? [])[index] = undefined
  }

  #addShard(stream: string, parents: readonly string[]): number {
    return (this.#streams.get(stream) ?? []).push({ records: [], parents, closed: false }) - 1
  }

  /** How many shards the stream has had. */
  shards(stream: string): number {
    return this.#streams.get(stream)?.length ?? 0
  }

  shard(stream: string, index: number): ShardRecord[] {
    return this.#shard(stream, index).records
  }

  #shard(stream: string, index: number): ImitatedShard {
    const shard = this.#streams.get(stream)?.[index]
    if (shard === undefined) throw Object.assign(new Error(`no shard ${index} of stream ${stream}`), { name: 'ResourceNotFoundException' })
    return shard
  }

  /** Puts records into a shard, as a producer would. */
  produce(stream: string, shard: number, texts: readonly string[]): void {
    for (const text of texts)
      this.shard(stream, shard).push({ sequence: this.#sequence++, partitionKey: 'p', data: new TextEncoder().encode(text), arrivalMs: Date.now() })
  }

  count(call: string, on = ''): number {
    return this.calls.filter((made) => made.call === call && made.on.includes(on)).length
  }

  /** The event that Lambda makes of records of a shard. */
  event(stream: string, shard: number, records: readonly ShardRecord[]): KinesisEvent {
    return {
      Records: records.map(({ sequence, partitionKey, data }) => ({
        eventID: `${shardId(shard)}:${sequence}`,
        eventSourceARN: `arn:aws:kinesis:eu-central-1:123456789012:stream/${stream}`,
        kinesis: {
          approximateArrivalTimestamp: 1_700_000_000.123,
          data: Buffer.from(data).toString('base64'),
          partitionKey,
          sequenceNumber: String(sequence),
        },
      })),
    }
  }

  // --- the services ------------------------------------------------------------------------------------------------------

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #putItem({ Item, ConditionExpression, ExpressionAttributeNames, ExpressionAttributeValues }: any): Promise<object> {
    const [pk, sk] = [Item.pk.S as string, Item.sk.S as string]
    await this.beforePutItem?.(pk, sk)
    this.#called('PutItem', `${pk} ${sk}`)
    const key = `${pk}\n${sk}`
    const present = this.items.get(key)
    const allowed =
      present === undefined || (ConditionExpression === LOWER_SERIAL && isLowerSerial(present, ExpressionAttributeNames, ExpressionAttributeValues))
    if (![ABSENT, LOWER_SERIAL].includes(ConditionExpression)) throw new Error('a put without its condition')
    if (!allowed) throw Object.assign(new Error('The conditional request failed'), { name: 'ConditionalCheckFailedException' })
    const numbers: Record<string, string> = {}
    for (const name of ['serial', 'expiresAt']) if (Item[name] !== undefined) numbers[name] = Item[name].N
    this.items.set(key, { pk, sk, payload: Uint8Array.from(Item.payload.B as Uint8Array), numbers })
    await this.afterPutItem?.(pk, sk)
    return {}
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #query(input: any): Promise<object> {
    const values = input.ExpressionAttributeValues
    this.#called('Query', values[':pk'].S)
    if (input.ConsistentRead !== true) throw new Error('a query that is not consistent')
    const all = [...this.items.values()]
      .filter(({ pk, sk }) => pk === values[':pk'].S && sk >= values[':first'].S && sk <= values[':last'].S)
      .sort((a, b) => (a.sk < b.sk ? -1 : 1))
    if (input.ScanIndexForward === false) all.reverse()
    const start = input.ExclusiveStartKey === undefined ? 0 : all.findIndex(({ sk }) => sk === input.ExclusiveStartKey.sk.S) + 1
    const page = all.slice(start, start + Math.min(this.pageSize, input.Limit ?? this.pageSize))
    const more = start + page.length < all.length
    return {
      Items: page.map(({ pk, sk, payload, numbers }) => ({
        pk: { S: pk },
        sk: { S: sk },
        payload: { B: payload },
        ...Object.fromEntries(Object.entries(numbers).map(([name, N]) => [name, { N }])),
      })),
      LastEvaluatedKey: more ? { pk: { S: values[':pk'].S }, sk: { S: (page.at(-1) as Item).sk } } : undefined,
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #putObject({ Key, Body, IfNoneMatch }: any): Promise<object> {
    this.#called('PutObject', Key)
    if (IfNoneMatch !== '*') throw new Error('a put without its condition')
    if (this.objects.has(Key)) {
      throw Object.assign(new Error('At least one of the pre-conditions you specified did not hold'), {
        name: 'PreconditionFailed',
        $metadata: { httpStatusCode: 412 },
      })
    }
    this.objects.set(Key, Uint8Array.from(Body))
    return {}
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #getObject({ Key, Range }: any): Promise<object> {
    this.#called('GetObject', Key)
    const bytes = this.objects.get(Key)
    if (bytes === undefined) throw Object.assign(new Error('The specified key does not exist.'), { name: 'NoSuchKey' })
    const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(Range ?? `bytes=0-${bytes.length}`) as RegExpExecArray
    return { Body: { transformToByteArray: async () => bytes.slice(Number(from), Number(last) + 1) } }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #deleteObject({ Key }: any): Promise<object> {
    this.#called('DeleteObject', Key)
    this.objects.delete(Key)
    return {}
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #listObjects({ Prefix, ContinuationToken }: any): Promise<object> {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(Prefix)).sort()
    const start = ContinuationToken === undefined ? 0 : Number(ContinuationToken)
    const end = start + this.pageSize
    return { Contents: keys.slice(start, end).map((Key) => ({ Key })), NextContinuationToken: end < keys.length ? String(end) : undefined }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #putRecords({ StreamName, Records }: any): Promise<object> {
    this.#called('PutRecords', StreamName)
    const shards = this.#streams.get(StreamName)
    if (shards === undefined) throw new Error(`no stream ${StreamName}`)
    const refused = this.refuseRecords?.(StreamName, Records.length) ?? []
    const results = Records.map(
      ({ Data, PartitionKey, ExplicitHashKey }: { Data: Uint8Array; PartitionKey: string; ExplicitHashKey: string }, i: number) => {
        if (refused.includes(i)) return { ErrorCode: 'ProvisionedThroughputExceededException', ErrorMessage: 'Rate exceeded' }
        const slice = HASH_SPACE / BigInt(shards.length)
        const index = Math.min(Number(BigInt(ExplicitHashKey) / slice), shards.length - 1)
        const sequence = this.#sequence++
        shards[index]?.records.push({ sequence, partitionKey: PartitionKey, data: Uint8Array.from(Data), arrivalMs: Date.now() })
        return { SequenceNumber: String(sequence), ShardId: shardId(index) }
      },
    )
    return { FailedRecordCount: refused.length, Records: results }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #putRecord({ StreamName, PartitionKey, Data }: any): Promise<object> {
    this.beforePutRecord?.()
    this.#called('PutRecord', `${StreamName} ${PartitionKey}`)
    const sequence = this.#sequence++
    this.#shard(StreamName, 0).records.push({ sequence, partitionKey: PartitionKey, data: Uint8Array.from(Data), arrivalMs: Date.now() })
    return { SequenceNumber: String(sequence), ShardId: shardId(0) }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #listShards({ StreamName, NextToken }: any): Promise<object> {
    if ((StreamName === undefined) === (NextToken === undefined)) throw new Error('either the name of the stream or a token')
    const [name, from] =
      NextToken === undefined ? [StreamName as string, 0] : [String(NextToken).split('#')[0], Number(String(NextToken).split('#')[1])]
    this.#called('ListShards', name)
    const shards = this.#streams.get(name)
    if (shards === undefined) throw Object.assign(new Error(`no stream ${name}`), { name: 'ResourceNotFoundException' })
    const all = shards.flatMap((shard, index) => (shard === undefined ? [] : [{ shard, index }]))
    const end = from + this.pageSize
    return {
      Shards: all.slice(from, end).map(({ shard: { parents, closed }, index }) => ({
        ShardId: shardId(index),
        ParentShardId: parents[0],
        AdjacentParentShardId: parents[1],
        SequenceNumberRange: { StartingSequenceNumber: '0', EndingSequenceNumber: closed ? String(this.#sequence) : undefined },
      })),
      NextToken: end < all.length ? `${name}#${end}` : undefined,
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #getShardIterator({ StreamName, ShardId, ShardIteratorType, StartingSequenceNumber }: any): Promise<object> {
    this.#called('GetShardIterator', `${StreamName} ${ShardId}`)
    const { records } = this.#shard(StreamName, Number(ShardId.slice('shardId-'.length)))
    if (ShardIteratorType === 'TRIM_HORIZON') return { ShardIterator: JSON.stringify([StreamName, ShardId, 0]) }
    if (ShardIteratorType !== 'AFTER_SEQUENCE_NUMBER') throw new Error(`a shard iterator of type ${ShardIteratorType}`)
    const from = records.filter(({ sequence }) => sequence <= BigInt(StartingSequenceNumber)).length
    return { ShardIterator: JSON.stringify([StreamName, ShardId, from]) }
  }

  // biome-ignore lint/suspicious/noExplicitAny: the mock hands over any command's input
  async #getRecords({ ShardIterator, Limit }: any): Promise<object> {
    const [stream, id, from, again] = JSON.parse(ShardIterator) as [string, string, number, boolean?]
    this.#called('GetRecords', `${stream} ${id}`)
    const failure = this.failRead?.(`${stream} ${id}`)
    if (failure !== undefined) throw failure
    const { records, closed } = this.#shard(stream, Number(id.slice('shardId-'.length)))
    if (this.emptyReads && again !== true) {
      return { Records: [], NextShardIterator: JSON.stringify([stream, id, from, true]), MillisBehindLatest: this.behindLatest }
    }
    const end = Math.min(records.length, from + Limit)
    const Records = records.slice(from, end).map(({ sequence, data, partitionKey, arrivalMs }) => ({
      SequenceNumber: String(sequence),
      ApproximateArrivalTimestamp: new Date(arrivalMs),
      Data: data,
      PartitionKey: partitionKey,
    }))
    const ended = closed && end === records.length
    return { Records, NextShardIterator: ended ? undefined : JSON.stringify([stream, id, end]), MillisBehindLatest: end === records.length ? 0 : 1 }
  }
}

const ABSENT = 'attribute_not_exists(pk)'
const LOWER_SERIAL = 'attribute_not_exists(pk) OR #serial < :serial'

function isLowerSerial(present: Item, names: Readonly<Record<string, string>>, values: Readonly<Record<string, { readonly N: string }>>): boolean {
  return Number(present.numbers[names['#serial']]) < Number(values[':serial'].N)
}

function shardId(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`
}
