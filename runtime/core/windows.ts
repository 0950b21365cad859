import { MAX_WATERMARK } from './time.js'

/** A finite set of elements (Flink's Window). `id` identifies it among the windows of one operator. */
export interface Window {
  readonly id: string
  /** The largest timestamp (epoch ms) that still belongs to the window; an event-time window fires when the watermark reaches it. */
  readonly maxTimestamp: number
}

/** From `start` (inclusive) to `end` (exclusive), both epoch milliseconds (Flink's TimeWindow). */
export class TimeWindow implements Window {
  #id: string | undefined
  readonly maxTimestamp: number

  constructor(
    readonly start: number,
    readonly end: number,
  ) {
    this.maxTimestamp = end - 1
  }

  get id(): string {
    this.#id ??= `${this.start}/${this.end}`
    return this.#id
  }

  /** Whether the two overlap or just touch: sessions exactly one gap apart merge. */
  intersects(other: TimeWindow): boolean {
    return this.start <= other.end && this.end >= other.start
  }

  /** The smallest window that holds both. */
  cover(other: TimeWindow): TimeWindow {
    if (this.start <= other.start && this.end >= other.end) return this
    return new TimeWindow(Math.min(this.start, other.start), Math.max(this.end, other.end))
  }

  /** Start of the window of `sizeMs` that holds `timestamp`; also right for timestamps before 1970. */
  static startWithOffset(timestamp: number, offsetMs: number, sizeMs: number): number {
    const remainder = (timestamp - offsetMs) % sizeMs
    return remainder < 0 ? timestamp - (remainder + sizeMs) : timestamp - remainder
  }
}

/** The one window of GlobalWindows: everything (Flink's GlobalWindow). */
export class GlobalWindow implements Window {
  static readonly INSTANCE = new GlobalWindow()
  readonly id = 'global'
  readonly maxTimestamp = MAX_WATERMARK
  private constructor() {}
}
