import { MillraceError } from './errors.js'
import { MAX_WATERMARK, MIN_WATERMARK } from './time.js'
import type { TimestampAssigner, WatermarkGenerator, WatermarkOutput } from './watermarks.js'

/** Holds back the splits of a group of sources that run ahead of the slowest by more than `maxDriftMs` of event time. */
export interface WatermarkAlignment {
  readonly group: string
  readonly maxDriftMs: number
  readonly updateIntervalMs: number
}

/**
 * How a stream gets timestamps and watermarks (Flink's WatermarkStrategy). Immutable: each `with…` returns a new one.
 *
 * The record type needs no type argument. Where the strategy is written into the call that takes it, it comes from there, as long as
 * `withTimestampAssigner` stands last; a strategy in a constant takes it from the assigner's parameter.
 *
 * @example
 * accesses.assignTimestampsAndWatermarks(
 *   WatermarkStrategy.forBoundedOutOfOrderness(1_000).withIdleness(60_000).withTimestampAssigner((access) => access.timestampMs),
 * )
 *
 * @example
 * const byTime = WatermarkStrategy.forMonotonousTimestamps().withTimestampAssigner((access: Access) => access.timestampMs)
 * accesses.assignTimestampsAndWatermarks(byTime)
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
    /** How far ahead of others the source may read. */
    readonly alignment?: WatermarkAlignment | undefined,
    /** Timestamps and watermarks are the subtask's processing time, whatever the generator. */
    readonly ingestionTime = false,
    /** Watermarks rise with records alone, never by the passing of time. Not known of a generator of your own. */
    readonly eventDriven = false,
  ) {}

  /** Records may be up to `delayMs` late against the largest timestamp seen: watermark = largest - delayMs - 1. */
  static forBoundedOutOfOrderness<T>(delayMs: number): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(() => new BoundedOutOfOrderness(delayMs), undefined, undefined, true, undefined, false, true)
  }

  /** Timestamps never go down within one source split. */
  static forMonotonousTimestamps<T>(): WatermarkStrategy<T> {
    return WatermarkStrategy.forBoundedOutOfOrderness<T>(0)
  }

  /** The time at which a record comes to the operator, by its subtask's clock, is its event time. */
  static forIngestionTime<T>(): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(() => new NoWatermarks(), undefined, undefined, true, undefined, true)
  }

  /** Your own generator, periodic or punctuated. */
  static forGenerator<T>(create: () => WatermarkGenerator<T>): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(create, undefined, undefined, true)
  }

  /** No watermark but the last one at the end of input: for processing-time jobs. */
  static noWatermarks<T>(): WatermarkStrategy<T> {
    return new WatermarkStrategy<T>(() => new NoWatermarks(), undefined, undefined, false, undefined, false, true)
  }

  /** Event timestamp of a record, epoch milliseconds; without an assigner a record keeps the source's timestamp. */
  withTimestampAssigner<U extends T>(assigner: TimestampAssigner<U>): WatermarkStrategy<U> {
    return new WatermarkStrategy<U>(
      this.createGenerator as () => WatermarkGenerator<U>,
      assigner,
      this.idlenessMs,
      this.emitsWatermarks,
      this.alignment,
      false,
      this.eventDriven,
    )
  }

  withIdleness(idlenessMs: number): WatermarkStrategy<T> {
    const { createGenerator, timestampAssigner, alignment, ingestionTime, eventDriven } = this
    return new WatermarkStrategy<T>(createGenerator, timestampAssigner, idlenessMs, true, alignment, ingestionTime, eventDriven)
  }

  /**
   * A source reads no further while its watermark is more than `maxDriftMs` of event time ahead of the least watermark of all sources with the same
   * `group`, so that what lies between need not be kept in state. Sources that are idle or have ended do not count. For `fromSource` only.
   * `updateIntervalMs` (1000 by default): how often watermarks are compared, ms of processing time.
   */
  withWatermarkAlignment(group: string, maxDriftMs: number, updateIntervalMs = 1_000): WatermarkStrategy<T> {
    if (!(maxDriftMs >= 0 && updateIntervalMs > 0)) {
      throw new MillraceError('OPTION_INVALID', {
        what: `withWatermarkAlignment("${group}", ${maxDriftMs}, ${updateIntervalMs})`,
        todo: 'Give a drift of 0 or more and an interval above 0, in milliseconds.',
      })
    }
    const alignment = { group, maxDriftMs, updateIntervalMs }
    return new WatermarkStrategy<T>(
      this.createGenerator,
      this.timestampAssigner,
      this.idlenessMs,
      this.emitsWatermarks,
      alignment,
      this.ingestionTime,
      this.eventDriven,
    )
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
