import { ListShardsCommand, type ListShardsCommandOutput, type Shard } from '@aws-sdk/client-kinesis'
import type { KeyRange, SplitInfo } from '../../ports/index.js'

/** All shards of a stream, in the order of their numbers: a child's is greater than those of its parents. `send` makes one call. */
export async function listShards(
  StreamName: string,
  send: (command: ListShardsCommand) => Promise<ListShardsCommandOutput>,
): Promise<readonly Shard[]> {
  const shards: Shard[] = []
  let NextToken: string | undefined
  do {
    // A continued listing is named by its token alone.
    const page = await send(new ListShardsCommand(NextToken === undefined ? { StreamName } : { NextToken }))
    shards.push(...(page.Shards ?? []))
    NextToken = page.NextToken
  } while (NextToken !== undefined)
  return shards.sort((a, b) => ((a.ShardId as string) < (b.ShardId as string) ? -1 : 1))
}

/** A listing's shards as splits; parents that it does not show have expired. */
export function splitsOf(shards: readonly Shard[]): readonly SplitInfo[] {
  const known = new Set(shards.map(({ ShardId }) => ShardId))
  return shards.map((shard) => ({
    splitId: shard.ShardId as string,
    parents: [shard.ParentShardId, shard.AdjacentParentShardId].filter((parent) => parent !== undefined && known.has(parent)).sort() as string[],
    closed: isClosed(shard),
  }))
}

/** Nothing will be added to it. */
export function isClosed({ SequenceNumberRange }: Shard): boolean {
  return SequenceNumberRange?.EndingSequenceNumber !== undefined
}

export function keyRangeOf({ HashKeyRange }: Shard): KeyRange | undefined {
  const { StartingHashKey, EndingHashKey } = HashKeyRange ?? {}
  if (StartingHashKey === undefined || EndingHashKey === undefined) return undefined
  return { first: BigInt(StartingHashKey), last: BigInt(EndingHashKey) }
}
