import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { SplitInfo } from '../../runtime/ports/index.js'
import type { StreamRecord } from '../../runtime/task/record-stream-source.js'
import type { RecordLists } from '../../runtime/testing/event-source-mapping.js'
import { recordsOf, shardsOf } from './kinesis-shards.js'

/** What a stream of Kinesis is known to hold, for a mapping. */
export class PolledStream implements RecordLists {
  readonly #records = new Map<string, StreamRecord[]>()
  #splits: readonly SplitInfo[] = []

  constructor(
    readonly kinesis: KinesisClient,
    readonly name: string,
  ) {}

  splits(): readonly SplitInfo[] {
    return this.#splits
  }

  records(splitId: string): readonly StreamRecord[] {
    return this.#records.get(splitId) ?? []
  }

  /** Reads what is new in every shard. */
  async pull(): Promise<void> {
    const shards = await shardsOf(this.kinesis, this.name)
    for (const { ShardId } of shards) {
      const id = ShardId as string
      const known = this.#records.get(id) ?? []
      this.#records.set(id, known)
      const last = known.at(-1)?.position
      for (const record of await recordsOf(this.kinesis, this.name, id, last === undefined ? undefined : String(last))) {
        known.push({
          position: BigInt(record.SequenceNumber as string),
          data: record.Data as Uint8Array,
          partitionKey: record.PartitionKey as string,
          arrivalMs: record.ApproximateArrivalTimestamp?.getTime() ?? 0,
        })
      }
    }
    this.#splits = shards.map((shard) => ({
      splitId: shard.ShardId as string,
      parents: [shard.ParentShardId, shard.AdjacentParentShardId].filter((parent) => parent !== undefined),
      closed: shard.SequenceNumberRange?.EndingSequenceNumber !== undefined,
    }))
  }
}
