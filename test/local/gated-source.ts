import { FixedSplitEnumerator, type FixedSplitState } from '../../runtime/connectors/base/fixed-split-enumerator.js'
import type { ReaderOutput, ReadStatus, Source, SourceReader } from '../../runtime/core/index.js'

interface GatedSplit {
  readonly splitId: string
  readonly next: number
}

/** Says how far a gated source may read. Shared by the test and the job, which therefore runs in this thread. */
export class Gate {
  open = 0
  /** Elements that the source has emitted, in all attempts. */
  emitted = 0
  readonly #waiting: (() => void)[] = []

  openTo(limit: number): void {
    this.open = limit
    for (const wake of this.#waiting.splice(0)) wake()
  }

  opened(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

/** 0, 1, 2 … below `count` (event timestamp i * 10 ms), as far as the gate is open; replayable. One split. */
export function gatedSource(gate: Gate, count = Number.POSITIVE_INFINITY): Source<number, GatedSplit, FixedSplitState<GatedSplit>> {
  return {
    name: 'gated-source',
    boundedness: count === Number.POSITIVE_INFINITY ? 'unbounded' : 'bounded',
    createEnumerator: (context, restored) => new FixedSplitEnumerator(context, restored, () => [{ splitId: 'gated', next: 0 }]),
    createReader: (context) => {
      context.requestSplit()
      return new GatedReader(gate, count)
    },
  }
}

class GatedReader implements SourceReader<number, GatedSplit> {
  #next: number | undefined
  #noMore = false
  #wake: (() => void) | undefined

  constructor(
    readonly gate: Gate,
    readonly count: number,
  ) {}

  start(): void {}

  pollNext(out: ReaderOutput<number>): ReadStatus {
    if (this.#next === undefined) return this.#noMore ? 'end' : 'waiting'
    if (this.#next >= this.count) {
      this.#next = undefined
      return this.#noMore ? 'end' : 'waiting'
    }
    if (this.#next >= this.gate.open) return 'waiting'
    this.gate.emitted++
    out.collect(this.#next, this.#next * 10, 'gated')
    this.#next++
    return 'more'
  }

  available(): Promise<void> {
    return Promise.race([this.gate.opened(), new Promise<void>((resolve) => (this.#wake = resolve))])
  }

  addSplits(splits: readonly GatedSplit[]): void {
    for (const { next } of splits) this.#next = next
    this.#wake?.()
  }

  notifyNoMoreSplits(): void {
    this.#noMore = true
    this.#wake?.()
  }

  snapshotState(): GatedSplit[] {
    return this.#next === undefined ? [] : [{ splitId: 'gated', next: this.#next }]
  }

  close(): void {}
}
