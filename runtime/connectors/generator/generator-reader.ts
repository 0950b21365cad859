import type { ReaderContext, ReaderOutput, ReadStatus, SourceReader, SourceSplit } from '../../core/index.js'
import { Signal } from '../base/signal.js'

const RECORDS_PER_POLL = 512

/** The numbers next, next + stride, … below `end`; null: without end. */
export interface GeneratorSplit extends SourceSplit {
  readonly next: number
  readonly stride: number
  readonly end: number | null
}

interface OpenSplit {
  readonly splitId: string
  next: number
  readonly stride: number
  readonly end: number
}

export class GeneratorReader<T> implements SourceReader<T, GeneratorSplit> {
  readonly #generate: (i: number) => T
  readonly #msPerElement: number
  readonly #context: ReaderContext
  readonly #signal = new Signal()
  readonly #splits: OpenSplit[] = []
  /** Index into #splits of the one whose turn it is. */
  #turn = 0
  #noMore = false
  /** When element 0 was, or would have been, due; epoch ms. Unset while nothing was emitted. */
  #startMs: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(generate: (i: number) => T, ratePerSecond: number | undefined, context: ReaderContext) {
    this.#generate = generate
    this.#msPerElement = ratePerSecond === undefined ? 0 : 1000 / ratePerSecond
    this.#context = context
  }

  start(): void {
    this.#context.requestSplit()
  }

  pollNext(out: ReaderOutput<T>): ReadStatus {
    this.#signal.check()
    if (this.#splits.length === 0) return this.#noMore ? 'end' : 'waiting'
    const dueBelow = this.#msPerElement === 0 ? Number.POSITIVE_INFINITY : this.#dueBelow()
    for (let tried = 0; tried < this.#splits.length; tried++) {
      const split = this.#splits[this.#turn]
      const emitted = this.#emit(split, dueBelow, out)
      if (split.next >= split.end) this.#finish(split, out)
      else this.#turn = (this.#turn + 1) % this.#splits.length
      if (this.#splits.length === 0) return this.#noMore ? 'end' : 'waiting'
      if (emitted) return 'more'
    }
    return 'waiting'
  }

  available(): Promise<void> {
    if (this.#splits.length === 0) return this.#noMore ? Promise.resolve() : this.#signal.wait()
    const waitMs = this.#startMs === undefined ? 0 : this.#startMs + this.#lowestNext() * this.#msPerElement - this.#context.now()
    if (waitMs <= 0) return Promise.resolve()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#signal.wake(), Math.ceil(Math.min(waitMs, 1000)))
    return this.#signal.wait()
  }

  addSplits(splits: readonly GeneratorSplit[]): void {
    for (const { splitId, next, stride, end } of splits) this.#splits.push({ splitId, next, stride, end: end ?? Number.POSITIVE_INFINITY })
    this.#startMs = undefined
    this.#signal.wake()
  }

  notifyNoMoreSplits(): void {
    this.#noMore = true
    this.#signal.wake()
  }

  snapshotState(): GeneratorSplit[] {
    return this.#splits.map(({ splitId, next, stride, end }) => ({ splitId, next, stride, end: end === Number.POSITIVE_INFINITY ? null : end }))
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #emit(split: OpenSplit, dueBelow: number, out: ReaderOutput<T>): boolean {
    const { splitId, stride, next } = split
    const end = Math.min(split.end, dueBelow, next + RECORDS_PER_POLL * stride)
    const generate = this.#generate
    let i = next
    for (; i < end; i += stride) out.collect(generate(i), undefined, splitId)
    split.next = i
    return i > next
  }

  #finish(split: OpenSplit, out: ReaderOutput<T>): void {
    this.#splits.splice(this.#turn, 1)
    if (this.#turn >= this.#splits.length) this.#turn = 0
    out.releaseSplit(split.splitId)
  }

  /** The first number whose time has not come. A restored source goes on at its rate; it does not make up for the time it was down. */
  #dueBelow(): number {
    const now = this.#context.now()
    if (this.#startMs === undefined) {
      const [{ stride }] = this.#splits
      this.#startMs = now - Math.floor(this.#lowestNext() / stride) * stride * this.#msPerElement
    }
    return Math.floor((now - this.#startMs) / this.#msPerElement + 1e-6) + 1
  }

  #lowestNext(): number {
    let lowest = Number.POSITIVE_INFINITY
    for (const split of this.#splits) lowest = Math.min(lowest, split.next)
    return lowest
  }
}
