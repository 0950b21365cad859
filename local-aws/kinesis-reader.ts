import { GetRecordsCommand, GetShardIteratorCommand, type KinesisClient } from '@aws-sdk/client-kinesis'
import { listShards, splitsOf } from '../runtime/backends/aws/kinesis-shards.js'
import type { SplitInfo } from '../runtime/ports/index.js'
import type { StreamRecord } from '../runtime/task/record-stream-source.js'
import type { RecordLists } from '../runtime/testing/event-source-mapping.js'

/** How often the shards are listed again. */
const LIST_MS = 1_000
const MOST_BYTES_AHEAD = 12 * 1024 * 1024

/** Where reading begins: for shards that were read before behind the record given, for those that the stream has at first as said, else at the oldest. */
export interface ReadFrom {
  readonly first: 'TRIM_HORIZON' | { readonly atTimestampMs: number }
  /** Sequence numbers of the last records that need not be read, by shard. */
  readonly behind: ReadonlyMap<string, bigint>
}

export interface KinesisReaderOptions {
  readonly from?: ReadFrom
  /** Most records of a shard that are read and not released. Default: no limit. */
  readonly readAhead?: number
  readonly now?: () => number
}

interface ReadShard {
  readonly id: string
  readonly parents: readonly string[]
  /** The sequence number range has an end: nothing will be added. */
  closed: boolean
  /** Closed, and read to that end. */
  ended: boolean
  iterator: string | undefined
  /** What is read and not forgotten yet. */
  records: StreamRecord[]
  /** How many of the records are released, from the first. */
  released: number
  bytesAhead: number
  last: bigint | undefined
}

/** What is known of a stream of Kinesis, for a mapping: its shards, and of each what was read ahead. */
export class KinesisReader implements RecordLists {
  readonly #shards = new Map<string, ReadShard>()
  readonly #from: ReadFrom
  readonly #readAhead: number
  readonly #now: () => number
  #listedMs = Number.NEGATIVE_INFINITY

  constructor(
    readonly kinesis: KinesisClient,
    readonly name: string,
    { from = { first: 'TRIM_HORIZON', behind: new Map() }, readAhead = Number.POSITIVE_INFINITY, now = Date.now }: KinesisReaderOptions = {},
  ) {
    this.#from = from
    this.#readAhead = readAhead
    this.#now = now
  }

  /** A shard counts as closed only when its end has been read, so that whoever looks at the records sees all of them. */
  splits(): readonly SplitInfo[] {
    return [...this.#shards.values()].map(({ id, parents, ended }) => ({ splitId: id, parents, closed: ended }))
  }

  records(splitId: string): readonly StreamRecord[] {
    return this.#shards.get(splitId)?.records ?? []
  }

  /** Reads what is new in every shard, as far as it is allowed to read ahead. Resolves to whether there was anything. */
  async pull(): Promise<boolean> {
    const listed = await this.#list()
    const pulled = await Promise.all([...this.#shards.values()].map((shard) => this.#pullShard(shard)))
    return listed || pulled.includes(true)
  }

  /** Records up to this one need not be kept, but for the last `keep` of them. */
  release(splitId: string, position: bigint | undefined, keep: number): void {
    const shard = this.#shards.get(splitId)
    if (shard === undefined || position === undefined) return
    while (shard.released < shard.records.length && shard.records[shard.released].position <= position) {
      shard.bytesAhead -= shard.records[shard.released++].data.length
    }
    // Not each time, for a list is cut in time proportional to its length.
    if (shard.released > 2 * keep) {
      shard.records.splice(0, shard.released - keep)
      shard.released = keep
    }
  }

  async #list(): Promise<boolean> {
    if (this.#now() - this.#listedMs < LIST_MS) return false
    const first = this.#listedMs === Number.NEGATIVE_INFINITY
    const splits = splitsOf(await listShards(this.name, (command) => this.kinesis.send(command)))
    this.#listedMs = this.#now()
    const known = this.#shards.size
    for (const split of splits) await this.#heardOf(split, first)
    const listed = new Set(splits.map(({ splitId }) => splitId))
    for (const id of this.#shards.keys()) if (!listed.has(id)) this.#shards.delete(id)
    return this.#shards.size !== known || first
  }

  async #heardOf({ splitId: id, parents, closed }: SplitInfo, first: boolean): Promise<void> {
    const known = this.#shards.get(id)
    if (known !== undefined) {
      known.closed = closed
      return
    }
    const behind = this.#from.behind.get(id)
    const iterator = behind === undefined && first ? await this.#firstIterator(id) : undefined
    this.#shards.set(id, { id, parents, closed, ended: false, iterator, records: [], released: 0, bytesAhead: 0, last: behind })
  }

  async #firstIterator(id: string): Promise<string | undefined> {
    const { first } = this.#from
    if (first === 'TRIM_HORIZON') return undefined
    return this.#iterator(id, { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: new Date(first.atTimestampMs) } as const)
  }

  async #iterator(ShardId: string, from: Partial<ConstructorParameters<typeof GetShardIteratorCommand>[0]>): Promise<string | undefined> {
    const input = { StreamName: this.name, ShardId, ShardIteratorType: 'TRIM_HORIZON' as const, ...from }
    return (await this.kinesis.send(new GetShardIteratorCommand(input))).ShardIterator
  }

  async #pullShard(shard: ReadShard): Promise<boolean> {
    let any = false
    while (!shard.ended && shard.records.length - shard.released < this.#readAhead && shard.bytesAhead < MOST_BYTES_AHEAD) {
      const read = await this.#read(shard)
      any ||= read.any
      if (!read.more) break
    }
    return any
  }

  async #read(shard: ReadShard): Promise<{ any: boolean; more: boolean }> {
    const { closed } = shard
    shard.iterator ??= await this.#iterator(shard.id, behind(shard))
    // Forgotten until the answer is there: an iterator may have expired.
    const ShardIterator = shard.iterator
    shard.iterator = undefined
    const Limit = Math.min(10_000, this.#readAhead)
    const { Records = [], NextShardIterator, MillisBehindLatest } = await this.kinesis.send(new GetRecordsCommand({ ShardIterator, Limit }))
    for (const { SequenceNumber, Data, PartitionKey, ApproximateArrivalTimestamp } of Records) {
      const position = BigInt(SequenceNumber as string)
      const data = Data as Uint8Array
      shard.records.push({ position, data, partitionKey: PartitionKey as string, arrivalMs: ApproximateArrivalTimestamp?.getTime() ?? 0 })
      shard.bytesAhead += data.length
      shard.last = position
    }
    const atEnd = Records.length === 0 && MillisBehindLatest === 0
    shard.iterator = NextShardIterator
    // Not every server that stands in for Kinesis ever gives no next iterator.
    shard.ended = NextShardIterator === undefined || NextShardIterator === null || (closed && atEnd)
    return { any: Records.length > 0 || shard.ended, more: !atEnd && MillisBehindLatest !== 0 }
  }
}

function behind({ last }: ReadShard) {
  return last === undefined ? {} : ({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: String(last) } as const)
}
