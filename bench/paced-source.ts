import type { ReaderContext, ReaderOutput, ReadStatus, Source, SourceReader } from 'millrace'
import { monotonicMs } from './monotonic-ms.js'

export interface PacedSourceOptions<T> {
  readonly count: number
  /** When element `i` is to be emitted, by {@link monotonicMs}. */
  readonly dueMs: (i: number) => number
  readonly generate: (i: number) => T
}

interface StridedSplit {
  readonly splitId: string
  readonly next: number
  readonly stride: number
}

const RECORDS_PER_POLL = 512

/**
 * Elements emitted when they are due, to the tenth of a millisecond, where timers of the event loop would be a millisecond late.
 * Subtask s of p emits s, s + p, s + 2p, …; not restorable.
 */
export function pacedSource<T>(options: PacedSourceOptions<T>): Source<T, StridedSplit, null> {
  return {
    name: 'paced-source',
    boundedness: 'bounded',
    createEnumerator: ({ parallelism, assignSplit, signalNoMoreSplits }) => ({
      start: () => {},
      handleSplitRequest: (subtask) => {
        assignSplit(subtask, { splitId: `paced-${subtask}`, next: subtask, stride: parallelism })
        signalNoMoreSplits(subtask)
      },
      addSplitsBack: () => {},
      snapshotState: () => null,
      close: () => {},
    }),
    createReader: (context) => new PacedReader(options, context),
  }
}

class PacedReader<T> implements SourceReader<T, StridedSplit> {
  #next = 0
  #stride = 0
  #assigned!: () => void
  readonly #available = new Promise<void>((resolve) => {
    this.#assigned = resolve
  })

  constructor(
    readonly options: PacedSourceOptions<T>,
    readonly context: ReaderContext,
  ) {}

  start(): void {
    this.context.requestSplit()
  }

  pollNext(out: ReaderOutput<T>): ReadStatus {
    if (this.#stride === 0) return 'waiting'
    const { count, dueMs, generate } = this.options
    const now = monotonicMs()
    const first = this.#next
    const end = Math.min(count, first + RECORDS_PER_POLL * this.#stride)
    while (this.#next < end && dueMs(this.#next) <= now) {
      out.collect(generate(this.#next))
      this.#next += this.#stride
    }
    if (this.#next >= count) return 'end'
    return this.#next === first ? 'waiting' : 'more'
  }

  dueInMs(): number | undefined {
    return this.#stride === 0 ? undefined : this.options.dueMs(this.#next) - monotonicMs()
  }

  available(): Promise<void> {
    return this.#available
  }

  addSplits([split]: readonly StridedSplit[]): void {
    this.#next = split.next
    this.#stride = split.stride
    this.#assigned()
  }

  notifyNoMoreSplits(): void {}

  snapshotState(): StridedSplit[] {
    return []
  }

  close(): void {}
}
