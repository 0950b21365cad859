/** A part of a stream outside that is read in order: a Kinesis shard. */
export interface SplitInfo {
  readonly splitId: string
  /** The splits that it continues, in the stream's order; empty for one of the first. One that the stream no longer knows is left out. */
  readonly parents: readonly string[]
  /** Nothing will be added to it. */
  readonly closed: boolean
}

/** A stretch of the keys by which a stream spreads records over its splits, both ends included. */
export interface KeyRange {
  readonly first: bigint
  readonly last: bigint
}

/** A sender that continues others: a split whose parents these are. It begins when all of them have ended. */
export interface Successor {
  readonly splitId: string
  readonly parents: readonly string[]
}

/** What is known of the streams outside. */
export interface SourceStreams {
  /** All splits of the stream with this logical name, parents before children. */
  splits(stream: string): Promise<readonly SplitInfo[]>
  /** Whether the split is closed and holds nothing after `position` (undefined: from its beginning). */
  drained(stream: string, splitId: string, position: bigint | undefined): Promise<boolean>
  /** The keys whose records the split gets; undefined when it is not known (any more). Streams without packed records have no need of it. */
  keyRange?(stream: string, splitId: string): Promise<KeyRange | undefined>
}
