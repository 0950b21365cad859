import { MAX_WATERMARK, MIN_WATERMARK } from './time.js'
import type { TimestampAssigner, WatermarkGenerator, WatermarkOutput } from './watermarks.js'

/**
 * How a stream gets timestamps and watermarks (Flink's WatermarkStrategy). Immutable: each `with…` returns a new one.
 *
 * @example
 * WatermarkStrategy.forBoundedOutOfOrderness<Access>(1_000).withTimestampAssigner(a => a.timestampMs).withIdleness(60_000)
 */
export class WatermarkStrategy<T> {
  private constructor(
    /** A new generator for each subtask or split. */
    readonly createGenerator: () => WatermarkGenerator<T>,
    readonly timestampAssigner: TimestampAssigner<T> | undefined,
    /** After this many ms of processing time without a record the input counts as idle. */
    readonly idlenessMs: number | undefined,
    /** False when no watermark will ever come, so that nothing periodic need run. */
    readonly emitsWatermarks: boolean,
  ) {}

  /** Records may be up to `delayMs` late against the largest timestamp seen: watermark = largest - delayMs - 1. */
  static forBoundedOutOfOrderness<T>(delayMs: number): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(() => new BoundedOutOfOrderness(delayMs), undefined, undefined, true)
  }

  /** Timestamps never go down within one source split. */
  static forMonotonousTimestamps<T>(): WatermarkStrategy<T> {
    return WatermarkStrategy.forBoundedOutOfOrderness<T>(0)
  }

  /** Your own generator, periodic or punctuated. */
  static forGenerator<T>(create: () => WatermarkGenerator<T>): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(create, undefined, undefined, true)
  }

  /** No watermark but the last one at the end of input: for processing-time jobs. */
  static noWatermarks<T>(): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(() => new NoWatermarks(), undefined, undefined, false)
  }

  /** Event timestamp of a record, epoch milliseconds; without an assigner a record keeps the source's timestamp. */
  withTimestampAssigner<U extends T>(assigner: TimestampAssigner<U>): WatermarkStrategy<U> {
    return new WatermarkStrategy<U>(this.createGenerator as () => WatermarkGenerator<U>, assigner, this.idlenessMs, this.emitsWatermarks)
  }

  withIdleness(idlenessMs: number): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(this.createGenerator, this.timestampAssigner, idlenessMs, true)
  }
}

class BoundedOutOfOrderness implements WatermarkGenerator<unknown> {
  #max: number = MIN_WATERMARK
  constructor(readonly delayMs: number) {}

  onEvent(_event: unknown, timestamp: number): void {
    if (timestamp > this.#max) this.#max = timestamp
  }

  onPeriodicEmit(output: WatermarkOutput): void {
    if (this.#max !== MIN_WATERMARK && this.#max !== MAX_WATERMARK) output.emitWatermark(this.#max - this.delayMs - 1)
  }
}

class NoWatermarks implements WatermarkGenerator<unknown> {
  onEvent(): void {}
  onPeriodicEmit(): void {}
}

/** Wraps a generator so that an input without records for `idlenessMs` is marked idle (Flink's WatermarksWithIdleness). */
export class WatermarksWithIdleness<T> implements WatermarkGenerator<T> {
  #events = 0
  #eventsSeen = 0
  #inactiveSince: number | undefined

  constructor(
    readonly inner: WatermarkGenerator<T>,
    readonly idlenessMs: number,
    readonly now: () => number,
  ) {}

  onEvent(event: T, timestamp: number, output: WatermarkOutput): void {
    this.inner.onEvent(event, timestamp, output)
    this.#events++
  }

  onPeriodicEmit(output: WatermarkOutput): void {
    if (this.#isIdle()) output.markIdle()
    else this.inner.onPeriodicEmit(output)
  }

  #isIdle(): boolean {
    if (this.#events !== this.#eventsSeen) {
      this.#eventsSeen = this.#events
      this.#inactiveSince = undefined
      return false
    }
    if (this.#inactiveSince === undefined) {
      this.#inactiveSince = this.now()
      return false
    }
    return this.now() - this.#inactiveSince > this.idlenessMs
  }
}
