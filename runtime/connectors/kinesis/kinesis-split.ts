import type { SourceSplit } from '../../core/index.js'

/** A shard and how far it has been read. Stages on AWS keep the same in a checkpoint, so a savepoint goes on there as here. */
export interface KinesisSplit extends SourceSplit {
  /** Sequence number of the last record that counts, in decimal; null for none. */
  readonly position: string | null
  /** Without a position: records from this time on count, epoch ms. Absent: all. */
  readonly sinceMs?: number
  /** Of one that has been read to its end: the shards that continue it, with the parents of theirs that the stream still knows. */
  readonly successors: readonly { readonly splitId: string; readonly parents: readonly string[] }[]
  readonly ended: boolean
}

/** What a reader tells the enumerator: a shard has been read to its end. */
export interface ShardEnded {
  readonly ended: KinesisSplit
}
