import type { ReaderContext, ReaderOutput, ReadStatus, SourceReader, SourceSplit } from '../../core/index.js'
import { Signal } from './signal.js'

const RECORDS_PER_POLL = 500
const HIGH_WATER_BYTES = 4 << 20
const LOW_WATER_BYTES = 1 << 20

/** Where an outside system pushes what it has. */
export interface PushSink<T> {
  /** @param size bytes they take up, about */
  push(records: readonly T[], size: number): void
  end(): void
  fail(error: unknown): void
}

/** An outside system that pushes: a socket, standard input. */
export interface PushOrigin<T> {
  open(sink: PushSink<T>): void
  /** Called when too much waits; {@link resume} when little does. */
  pause(): void
  resume(): void
  close(): void | Promise<void>
}

/** Reads one split that cannot be read twice: its snapshot says only that the split goes on, not where. */
export class PushReader<T> implements SourceReader<T, SourceSplit>, PushSink<T> {
  readonly #context: ReaderContext
  readonly #origin: PushOrigin<T>
  readonly #signal = new Signal()
  readonly #batches: { readonly records: readonly T[]; readonly size: number }[] = []
  /** Index into the first batch of the next record. */
  #index = 0
  #waiting = 0
  #waitingBytes = 0
  #paused = false
  #split: SourceSplit | undefined
  #ended = false
  #noMore = false

  constructor(context: ReaderContext, origin: PushOrigin<T>) {
    this.#context = context
    this.#origin = origin
  }

  start(): void {
    this.#context.requestSplit()
  }

  pollNext(out: ReaderOutput<T>): ReadStatus {
    if (this.#waiting === 0) this.#signal.check()
    if (this.#split === undefined) return this.#noMore ? 'end' : 'waiting'
    for (let n = 0; n < RECORDS_PER_POLL && this.#waiting > 0; n++) out.collect(this.#shift(), undefined, this.#split.splitId)
    if (this.#waiting > 0) return 'more'
    if (!this.#ended) return 'waiting'
    out.releaseSplit(this.#split.splitId)
    this.#split = undefined
    return this.#noMore ? 'end' : 'waiting'
  }

  available(): Promise<void> {
    return this.#waiting > 0 ? Promise.resolve() : this.#signal.wait()
  }

  addSplits(splits: readonly SourceSplit[]): void {
    for (const split of splits) this.#split = split
    if (this.#split !== undefined) this.#origin.open(this)
    this.#signal.wake()
  }

  notifyNoMoreSplits(): void {
    this.#noMore = true
    this.#signal.wake()
  }

  snapshotState(): SourceSplit[] {
    return this.#split === undefined ? [] : [this.#split]
  }

  async close(): Promise<void> {
    await this.#origin.close()
  }

  push(records: readonly T[], size: number): void {
    if (records.length === 0) return
    this.#batches.push({ records, size })
    this.#waiting += records.length
    this.#waitingBytes += size
    if (!this.#paused && this.#waitingBytes > HIGH_WATER_BYTES) {
      this.#paused = true
      this.#origin.pause()
    }
    this.#signal.wake()
  }

  end(): void {
    this.#ended = true
    this.#signal.wake()
  }

  fail(error: unknown): void {
    this.#signal.fail(error)
  }

  #shift(): T {
    const { records, size } = this.#batches[0]
    const record = records[this.#index]
    this.#index += 1
    this.#waiting -= 1
    if (this.#index === records.length) {
      this.#batches.shift()
      this.#index = 0
      this.#waitingBytes -= size
      if (this.#paused && this.#waitingBytes <= LOW_WATER_BYTES) {
        this.#paused = false
        this.#origin.resume()
      }
    }
    return record
  }
}
