import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  ListShardsCommand,
  type Shard,
  type _Record as ShardRecord,
} from '@aws-sdk/client-kinesis'

/** In the order of their numbers. */
export async function shardsOf(kinesis: KinesisClient, StreamName: string): Promise<Shard[]> {
  const { Shards = [] } = await kinesis.send(new ListShardsCommand({ StreamName }))
  return Shards.sort((a, b) => ((a.ShardId as string) < (b.ShardId as string) ? -1 : 1))
}

/** What a shard holds behind a sequence number (undefined: all of it), in its order. */
export async function recordsOf(kinesis: KinesisClient, StreamName: string, ShardId: string, after?: string): Promise<ShardRecord[]> {
  const from =
    after === undefined
      ? ({ ShardIteratorType: 'TRIM_HORIZON' } as const)
      : ({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: after } as const)
  let { ShardIterator } = await kinesis.send(new GetShardIteratorCommand({ StreamName, ShardId, ...from }))
  const records: ShardRecord[] = []
  while (ShardIterator !== undefined) {
    const { Records = [], NextShardIterator, MillisBehindLatest } = await kinesis.send(new GetRecordsCommand({ ShardIterator, Limit: 1_000 }))
    records.push(...Records)
    if (Records.length === 0 && MillisBehindLatest === 0) break
    ShardIterator = NextShardIterator
  }
  return records
}
