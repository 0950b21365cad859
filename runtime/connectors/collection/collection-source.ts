import type { EnumeratorContext, ReaderContext, ReaderOutput, ReadStatus, Source, SourceReader, SourceSplit } from '../../core/index.js'
import { FixedSplitEnumerator, type FixedSplitState } from '../base/fixed-split-enumerator.js'
import { Signal } from '../base/signal.js'

const RECORDS_PER_POLL = 512

/** Options of the source over a collection. */
export interface CollectionSourceOptions<T> {
  /** Event timestamp of each element, epoch ms. Without it elements have none. */
  readonly timestamps?: (item: T, index: number) => number
}

/** `next` is the index of the first element not emitted yet. */
export interface CollectionSplit extends SourceSplit {
  readonly next: number
}

/**
 * The elements of an array, in their order (Flink's fromData). Bounded and replayable; one subtask reads all of it, whatever the parallelism,
 * as only one reader can keep the order. The array must be the same when a checkpoint is restored.
 */
export function collectionSource<T>(
  items: readonly T[],
  options: CollectionSourceOptions<T> = {},
): Source<T, CollectionSplit, FixedSplitState<CollectionSplit>> {
  return {
    name: 'collection-source',
    boundedness: 'bounded',
    createEnumerator: (context: EnumeratorContext<CollectionSplit>, restored) =>
      new FixedSplitEnumerator(context, restored, () => [{ splitId: 'collection', next: 0 }]),
    createReader: (context: ReaderContext) => new CollectionReader(items, options.timestamps, context),
  }
}

class CollectionReader<T> implements SourceReader<T, CollectionSplit> {
  readonly #items: readonly T[]
  readonly #timestamps: ((item: T, index: number) => number) | undefined
  readonly #context: ReaderContext
  readonly #signal = new Signal()
  #split: string | undefined
  #next = 0
  #noMore = false

  constructor(items: readonly T[], timestamps: ((item: T, index: number) => number) | undefined, context: ReaderContext) {
    this.#items = items
    this.#timestamps = timestamps
    this.#context = context
  }

  start(): void {
    this.#context.requestSplit()
  }

  pollNext(out: ReaderOutput<T>): ReadStatus {
    this.#signal.check()
    if (this.#split === undefined) return this.#noMore ? 'end' : 'waiting'
    const end = Math.min(this.#next + RECORDS_PER_POLL, this.#items.length)
    for (let i = this.#next; i < end; i++) {
      this.#next = i + 1
      out.collect(this.#items[i], this.#timestamps?.(this.#items[i], i), this.#split)
    }
    if (end < this.#items.length) return 'more'
    out.releaseSplit(this.#split)
    this.#split = undefined
    return this.#noMore ? 'end' : 'waiting'
  }

  available(): Promise<void> {
    return this.#split === undefined && !this.#noMore ? this.#signal.wait() : Promise.resolve()
  }

  addSplits(splits: readonly CollectionSplit[]): void {
    for (const split of splits) {
      this.#split = split.splitId
      this.#next = split.next
    }
    this.#signal.wake()
  }

  notifyNoMoreSplits(): void {
    this.#noMore = true
    this.#signal.wake()
  }

  snapshotState(): CollectionSplit[] {
    return this.#split === undefined ? [] : [{ splitId: this.#split, next: this.#next }]
  }

  close(): void {}
}
