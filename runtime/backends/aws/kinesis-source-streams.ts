import {
  GetRecordsCommand,
  type GetRecordsCommandOutput,
  GetShardIteratorCommand,
  type KinesisClient,
  ListShardsCommand,
  type ListShardsCommandOutput,
  type Shard,
} from '@aws-sdk/client-kinesis'
import { assert, MillraceError } from '../../core/index.js'
import type { SourceStreams, SplitInfo } from '../../ports/index.js'
import { awsCall, isAwsError } from './aws-call.js'

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
    const shards = await this.#shards(this.#nameOf(stream))
    const known = new Set(shards.map(({ ShardId }) => ShardId))
    return shards.map(({ ShardId, ParentShardId, AdjacentParentShardId, SequenceNumberRange }) => ({
      splitId: ShardId as string,
      parents: [ParentShardId, AdjacentParentShardId].filter((parent) => parent !== undefined && known.has(parent)).sort() as string[],
      closed: SequenceNumberRange?.EndingSequenceNumber !== undefined,
    }))
  }

  /** A closed shard that was read to its end has no next iterator. */
  async drained(stream: string, splitId: string, position: bigint | undefined): Promise<boolean> {
    const name = this.#nameOf(stream)
    let iterator: string | undefined
    try {
      iterator = await this.#iteratorAfter(name, splitId, position)
    } catch (thrown) {
      // Of a stream that is there: the shard's records have all expired, and so has the shard.
      if (isGone(thrown) && (await this.#shards(name)).every(({ ShardId }) => ShardId !== splitId)) return true
      throw thrown
    }
    for (let reads = 0; iterator !== undefined; reads++) {
      if (reads === MOST_READS) return false
      const command = new GetRecordsCommand({ ShardIterator: iterator, Limit: 1 })
      const page: GetRecordsCommandOutput = await awsCall('GetRecords', `stream ${name}, ${splitId}`, () => this.client.send(command))
      if ((page.Records?.length ?? 0) > 0) return false
      iterator = page.NextShardIterator
      // At the end of an open one.
      if (iterator !== undefined && page.MillisBehindLatest === 0) return false
    }
    return true
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

  /** In the order of their numbers: a child's is greater than those of its parents. */
  async #shards(name: string): Promise<Shard[]> {
    const shards: Shard[] = []
    let NextToken: string | undefined
    do {
      // A token stands for the stream's name, too.
      const command = new ListShardsCommand(NextToken === undefined ? { StreamName: name } : { NextToken })
      const page: ListShardsCommandOutput = await awsCall('ListShards', `stream ${name}`, () => this.client.send(command))
      shards.push(...(page.Shards ?? []))
      NextToken = page.NextToken
    } while (NextToken !== undefined)
    return shards.sort((a, b) => ((a.ShardId as string) < (b.ShardId as string) ? -1 : 1))
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

function isGone(thrown: unknown): boolean {
  return thrown instanceof MillraceError && isAwsError(thrown.cause, 'ResourceNotFoundException')
}
