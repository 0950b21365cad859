import { GetRecordsCommand, type GetRecordsCommandOutput, GetShardIteratorCommand, type KinesisClient, type Shard } from '@aws-sdk/client-kinesis'
import { assert, MillraceError } from '../../core/index.js'
import type { KeyRange, SourceStreams, SplitInfo } from '../../ports/index.js'
import { awsCall } from './aws-call.js'
import { isClosed, keyRangeOf, listShards, splitsOf } from './kinesis-shards.js'

/** Reads of a stretch of a shard without records, before the question waits for the next time. A shard takes five reads a second. */
const MOST_READS = 5

/** The shards of Kinesis streams. */
export class KinesisSourceStreams implements SourceStreams {
  /** `streamNames`: by logical name. */
  constructor(
    readonly client: KinesisClient,
    readonly streamNames: Readonly<Record<string, string>>,
  ) {}

  async splits(stream: string): Promise<readonly SplitInfo[]> {
    return splitsOf(await this.#shards(this.#nameOf(stream)))
  }

  /**
   * A closed shard that was read to its end has no next iterator, but the one before may say already that nothing is behind. An open shard is
   * not read: its reads are those of the mapping.
   */
  async drained(stream: string, splitId: string, position: bigint | undefined): Promise<boolean> {
    const name = this.#nameOf(stream)
    const shards = await this.#shards(name)
    const shard = shards.find(({ ShardId }) => ShardId === splitId)
    // The shard's records have all expired, and so has the shard.
    if (shard === undefined) return true
    if (!isClosed(shard)) return false
    // Others always continue a closed shard. A listing that does not show them yet is too thin for an end that cannot be taken back.
    if (!shards.some(({ ParentShardId, AdjacentParentShardId }) => ParentShardId === splitId || AdjacentParentShardId === splitId)) return false
    let iterator: string | undefined = await this.#iteratorAfter(name, splitId, position)
    for (let reads = 0; iterator !== undefined; reads++) {
      if (reads === MOST_READS) return false
      const command = new GetRecordsCommand({ ShardIterator: iterator, Limit: 1 })
      const page: GetRecordsCommandOutput = await awsCall('GetRecords', `stream ${name}, ${splitId}`, () => this.client.send(command))
      if ((page.Records?.length ?? 0) > 0) return false
      iterator = page.NextShardIterator
    }
    return true
  }

  /**
   * Since when the next record after `position` (undefined: the oldest) has been in the split, or could have been at the earliest if there is none yet: epoch ms.
   * Undefined when nothing will ever follow. `now`: epoch ms.
   */
  async nextArrivalMs(stream: string, splitId: string, position: bigint | undefined, now: number): Promise<number | undefined> {
    const name = this.#nameOf(stream)
    const command = new GetRecordsCommand({ ShardIterator: await this.#iteratorAfter(name, splitId, position), Limit: 1 })
    const { Records, NextShardIterator, MillisBehindLatest } = await awsCall('GetRecords', `stream ${name}, ${splitId}`, () =>
      this.client.send(command),
    )
    const arrival = Records?.[0]?.ApproximateArrivalTimestamp
    if (arrival !== undefined) return arrival.getTime()
    // A read may find nothing where there is a stretch without records, and then says how long ago that is.
    return NextShardIterator === undefined ? undefined : now - (MillisBehindLatest ?? 0)
  }

  async keyRange(stream: string, splitId: string): Promise<KeyRange | undefined> {
    const shards = await this.#shards(this.#nameOf(stream))
    const shard = shards.find(({ ShardId }) => ShardId === splitId)
    return shard && keyRangeOf(shard)
  }

  async #iteratorAfter(name: string, splitId: string, position: bigint | undefined): Promise<string> {
    const command = new GetShardIteratorCommand({
      StreamName: name,
      ShardId: splitId,
      ...(position === undefined
        ? { ShardIteratorType: 'TRIM_HORIZON' }
        : { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: String(position) }),
    })
    const { ShardIterator } = await awsCall('GetShardIterator', `stream ${name}, ${splitId}`, () => this.client.send(command))
    assert(ShardIterator !== undefined, 'every shard has an iterator')
    return ShardIterator
  }

  #shards(name: string): Promise<readonly Shard[]> {
    return listShards(name, (command) => awsCall('ListShards', `stream ${name}`, () => this.client.send(command)))
  }

  #nameOf(stream: string): string {
    const name = this.streamNames[stream]
    if (name !== undefined) return name
    throw new MillraceError('OPTION_INVALID', {
      what: `nobody has said which Kinesis stream "${stream}" is`,
      todo: 'Deploy the job with the construct StreamJob, which says it.',
    })
  }
}
