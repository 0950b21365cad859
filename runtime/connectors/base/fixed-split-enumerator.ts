import type { EnumeratorContext, SourceSplit, SplitEnumerator } from '../../core/index.js'

/** Splits not assigned yet, with the subtask each belongs to at the present parallelism. */
export interface FixedSplitState<Split> {
  readonly pending: readonly Split[]
}

/**
 * Enumerator of a source whose splits are all known at the first start. Split i goes to subtask i modulo the parallelism, whatever that is
 * after a restore, and every subtask hears at once that there will be no more.
 */
export class FixedSplitEnumerator<Split extends SourceSplit> implements SplitEnumerator<Split, FixedSplitState<Split>> {
  readonly #context: EnumeratorContext<Split>
  readonly #queues: Split[][]
  readonly #asked = new Set<number>()
  #next = 0

  /** @param initial the splits of a first start; not called at a restore */
  constructor(context: EnumeratorContext<Split>, restored: FixedSplitState<Split> | undefined, initial: () => readonly Split[]) {
    this.#context = context
    this.#queues = Array.from({ length: context.parallelism }, () => [])
    this.#enqueue(restored?.pending ?? initial())
  }

  start(): void {}

  handleSplitRequest(subtask: number): void {
    this.#asked.add(subtask)
    for (const split of this.#queues[subtask].splice(0)) this.#context.assignSplit(subtask, split)
    this.#context.signalNoMoreSplits(subtask)
  }

  addSplitsBack(splits: readonly Split[]): void {
    this.#enqueue(splits)
    for (const subtask of this.#asked) this.handleSplitRequest(subtask)
  }

  snapshotState(): FixedSplitState<Split> {
    return { pending: this.#queues.flat() }
  }

  close(): void {}

  #enqueue(splits: readonly Split[]): void {
    for (const split of splits) {
      this.#queues[this.#next % this.#queues.length].push(split)
      this.#next += 1
    }
  }
}
