import { type EnumeratorContext, MillraceError, type SplitEnumerator } from '../../core/index.js'
import { loadClient } from '../base/aws-client.js'
import type { KinesisReads, ShardInfo } from './kinesis-reads.js'
import type { KinesisSplit, ShardEnded } from './kinesis-split.js'

/** When the first start was, for shards that have no position yet; null: their whole contents count. */
export interface KinesisEnumeratorState {
  readonly sinceMs: number | null
}

interface KnownShard {
  split: KinesisSplit
  /** Whose it is; undefined until it has been assigned. */
  subtask: number | undefined
  /** Its reader has been told that those that continue it have begun. */
  released: boolean
}

/**
 * Hands out the shards of a stream, parents before children: a shard begins when all its parents have been read to their ends. It goes to the
 * subtask that read its first parent, whose watermark is not ahead of it, so nothing becomes late through a reshard; a restore, after which
 * watermarks begin anew, deals all shards out evenly.
 */
export class KinesisEnumerator implements SplitEnumerator<KinesisSplit, KinesisEnumeratorState> {
  readonly #known = new Map<string, KnownShard>()
  #sinceMs: number | undefined
  #reads: KinesisReads | undefined
  #started = false
  #closed = false

  /** @param firstSinceMs from when on records count at a first start; undefined: all */
  constructor(
    readonly stream: string,
    readonly context: EnumeratorContext<KinesisSplit>,
    restored: KinesisEnumeratorState | undefined,
    firstSinceMs: number | undefined,
  ) {
    this.#sinceMs = restored === undefined ? firstSinceMs : (restored.sinceMs ?? undefined)
  }

  addSplitsBack(splits: readonly KinesisSplit[]): void {
    for (const split of splits) this.#known.set(split.splitId, { split, subtask: undefined, released: false })
  }

  async start(): Promise<void> {
    const { KinesisReads } = await loadClient(() => import('./kinesis-reads.js'))
    this.#reads = await KinesisReads.open(this.context.physicalName(this.stream))
    const shards = await this.#reads.shards().finally(() => this.#reads?.close())
    if (this.#closed) return
    if (this.#known.size === 0) this.#begin(shards)
    else this.#goOn(shards)
    this.#deal()
    this.#started = true
    this.#advance()
  }

  /** The oldest shards: their children begin when they have ended, closed or not. */
  #begin(shards: readonly ShardInfo[]): void {
    if (shards.length === 0) throw this.#failed('it has no shards', 'Create it with one shard or more.')
    for (const { splitId, parents } of shards) if (parents.length === 0) this.#add(splitId)
  }

  #goOn(shards: readonly ShardInfo[]): void {
    const listed = new Set(shards.map(({ splitId }) => splitId))
    for (const [splitId, { split }] of this.#known) {
      if (listed.has(splitId)) continue
      if (!split.ended) {
        throw this.#failed(
          `${splitId}, which the checkpoint goes on from, is older than the stream keeps records`,
          'Restore a newer checkpoint, or start the job anew; records between the checkpoint and now are gone from the stream.',
        )
      }
      // Nothing of it can come any more.
      if (split.successors.length > 0 && split.successors.every((successor) => this.#known.has(successor.splitId))) this.#known.delete(splitId)
    }
  }

  #add(splitId: string, subtask?: number): KnownShard {
    const split: KinesisSplit = { splitId, position: null, successors: [], ended: false }
    const shard = { split: this.#sinceMs === undefined ? split : { ...split, sinceMs: this.#sinceMs }, subtask, released: false }
    this.#known.set(splitId, shard)
    return shard
  }

  #deal(): void {
    const inOrder = [...this.#known.values()].sort((a, b) => (a.split.splitId < b.split.splitId ? -1 : 1))
    const open = inOrder.filter(({ split }) => !split.ended)
    const ended = inOrder.filter(({ split }) => split.ended)
    for (const [index, shard] of open.entries()) {
      shard.subtask = index % this.context.parallelism
      this.context.assignSplit(shard.subtask, shard.split)
    }
    // Kept by a reader, whose checkpoints have them, until those that continue them have begun.
    for (const shard of ended) {
      shard.subtask = 0
      this.context.assignSplit(0, shard.split)
    }
  }

  handleSplitRequest(): void {}

  handleSourceEvent(_subtask: number, event: unknown): void {
    const { ended } = event as ShardEnded
    const shard = this.#known.get(ended.splitId)
    if (shard === undefined) return
    shard.split = ended
    if (this.#started) this.#advance()
  }

  /** Begins the shards whose parents have all ended, and lets go of parents whose children have begun. */
  #advance(): void {
    for (const { split, subtask } of [...this.#known.values()]) {
      for (const { splitId, parents } of split.ended ? split.successors : []) {
        if (this.#known.has(splitId) || !parents.every((parent) => this.#known.get(parent)?.split.ended === true)) continue
        this.context.assignSplit(subtask as number, this.#add(splitId, subtask).split)
      }
    }
    for (const shard of this.#known.values()) {
      const { split, subtask, released } = shard
      if (released || !split.ended || !split.successors.every(({ splitId }) => this.#known.has(splitId))) continue
      shard.released = true
      this.context.assignSplit(subtask as number, split)
    }
  }

  snapshotState(): KinesisEnumeratorState {
    return { sinceMs: this.#sinceMs ?? null }
  }

  close(): void {
    this.#closed = true
    this.#reads?.close()
  }

  #failed(why: string, todo: string): MillraceError {
    return new MillraceError('SOURCE_FAILED', { what: `the stream cannot be read: ${why}`, where: `Kinesis stream "${this.stream}"`, todo })
  }
}
