import type { SplitInfo } from '../ports/index.js'
import type { StreamRecord } from '../task/record-stream-source.js'

/** A shard as an {@link EventSourceMapping} reads it. */
export interface MappedShard {
  readonly splitId: string
  /** The shards that it continues. One that the stream does not list is taken as read. */
  readonly parents: readonly string[]
  /** Nothing will be added. */
  readonly closed: boolean
  /** Up to `limit` records after the position (undefined: from the oldest), in order. Takes no time. */
  read(after: bigint | undefined, limit: number): readonly StreamRecord[]
}

/** A stream as an {@link EventSourceMapping} reads it: a Kinesis stream. */
export interface MappedStream {
  /** All shards that are known now. One that is no longer listed has expired. */
  shards(): readonly MappedShard[]
}

/** What keeps a stream's records in lists: MemoryStream does. */
export interface RecordLists {
  splits(): readonly SplitInfo[]
  /** All records of the split, by ascending position: a list that grows with the split. */
  records(splitId: string): readonly StreamRecord[]
}

/** A stream that is kept in lists as one that a mapping reads. A read costs the logarithm of the list's length and what it returns. */
export function mappedStream(lists: RecordLists): MappedStream {
  return {
    shards: () =>
      lists.splits().map(({ splitId, parents, closed }) => {
        const records = lists.records(splitId)
        const read = (after: bigint | undefined, limit: number) => {
          const from = after === undefined ? 0 : firstBehind(records, after)
          return from === records.length ? [] : records.slice(from, from + limit)
        }
        return { splitId, parents, closed, read }
      }),
  }
}

function firstBehind(records: readonly StreamRecord[], position: bigint): number {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (records[middle].position <= position) low = middle + 1
    else high = middle
  }
  return low
}
