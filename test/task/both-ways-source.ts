import type { MemoryStream } from '../../runtime/backends/memory/index.js'
import type { EnumeratorContext, ReaderContext, ReaderOutput, ReadStatus, Source, SourceReader, SplitEnumerator } from '../../runtime/core/index.js'
import type { RecordStreamSource } from '../../runtime/task/record-stream-source.js'

/**
 * A split of the stream as both engines keep it in a checkpoint: the position is that of the last record that counts, in decimal; null for none.
 */
export interface BothWaysSplit {
  readonly splitId: string
  readonly position: string | null
  readonly successors: readonly never[]
  readonly ended: boolean
}

/** How far the reader in one process may read, and how far it has. */
export class ReadLimit {
  emitted = 0
  readonly #waiting: (() => void)[] = []

  /** Records of each split. */
  constructor(public records = Number.POSITIVE_INFINITY) {}

  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

/** A source that stages are fed by, and that reads the same stream, split by split, when the job runs in one process. */
export function bothWaysSource<T>(
  name: string,
  stream: MemoryStream,
  deserialize: (data: Uint8Array) => T,
  limit: ReadLimit,
): Source<T, BothWaysSplit, null> & RecordStreamSource<T> {
  return {
    name: 'both-ways-source',
    stream: name,
    deserialize,
    boundedness: 'bounded',
    createEnumerator: (context) => new BothWaysEnumerator(stream, context),
    createReader: (context) => new BothWaysReader(stream, deserialize, limit, context),
  }
}

/** Splits that no checkpoint knows are found at the start. Split i is subtask i modulo the parallelism's. */
class BothWaysEnumerator implements SplitEnumerator<BothWaysSplit, null> {
  readonly #known = new Map<string, BothWaysSplit>()
  readonly #asked: number[] = []

  constructor(
    readonly stream: MemoryStream,
    readonly context: EnumeratorContext<BothWaysSplit>,
  ) {}

  addSplitsBack(splits: readonly BothWaysSplit[]): void {
    for (const split of splits) this.#known.set(split.splitId, split)
  }

  start(): void {
    for (const { splitId } of this.stream.splits()) {
      if (!this.#known.has(splitId)) this.#known.set(splitId, { splitId, position: null, successors: [], ended: false })
    }
    for (const subtask of this.#asked) this.#give(subtask)
  }

  handleSplitRequest(subtask: number): void {
    if (this.#known.size === 0) this.#asked.push(subtask)
    else this.#give(subtask)
  }

  #give(subtask: number): void {
    const splits = [...this.#known.values()].sort((a, b) => (a.splitId < b.splitId ? -1 : 1))
    for (const [i, split] of splits.entries()) if (i % this.context.parallelism === subtask) this.context.assignSplit(subtask, split)
    this.context.signalNoMoreSplits(subtask)
  }

  snapshotState(): null {
    return null
  }

  close(): void {}
}

class BothWaysReader<T> implements SourceReader<T, BothWaysSplit> {
  readonly #splits = new Map<string, { split: BothWaysSplit; read: number }>()
  #noMore = false
  #wake: (() => void) | undefined

  constructor(
    readonly stream: MemoryStream,
    readonly deserialize: (data: Uint8Array) => T,
    readonly limit: ReadLimit,
    readonly context: ReaderContext,
  ) {}

  start(): void {
    this.context.requestSplit()
  }

  /** A record of each split in turn. */
  pollNext(out: ReaderOutput<T>): ReadStatus {
    let left = false
    let progressed = false
    for (const entry of this.#splits.values()) {
      const { split } = entry
      if (split.ended) continue
      const records = this.stream.records(split.splitId)
      const next = records.find(({ position }) => split.position === null || position > BigInt(split.position))
      if (next === undefined && this.limit.records === Number.POSITIVE_INFINITY) {
        entry.split = { ...split, ended: true }
        out.releaseSplit(split.splitId)
        continue
      }
      left = true
      if (next === undefined || entry.read >= this.limit.records) continue
      entry.split = { ...split, position: String(next.position) }
      entry.read++
      progressed = true
      this.limit.emitted++
      out.collect(this.deserialize(next.data), next.arrivalMs, split.splitId)
    }
    if (progressed) return 'more'
    return left || !this.#noMore ? 'waiting' : 'end'
  }

  available(): Promise<void> {
    return Promise.race([this.limit.changed(), new Promise<void>((resolve) => (this.#wake = resolve))])
  }

  addSplits(splits: readonly BothWaysSplit[]): void {
    for (const split of splits) this.#splits.set(split.splitId, { split, read: 0 })
    this.#wake?.()
  }

  notifyNoMoreSplits(): void {
    this.#noMore = true
    this.#wake?.()
  }

  snapshotState(): BothWaysSplit[] {
    return [...this.#splits.values()].map(({ split }) => split)
  }

  close(): void {}
}
