import { NO_TIMESTAMP } from '../../core/index.js'
import { EvictOnce } from './evict-once.js'
import { removeWhere, type TimestampedValue } from './evictor.js'
import { requireWholeNumber } from './option-checks.js'

/**
 * Keeps the elements less than `windowSizeMs` older than the newest one, by their timestamps (Flink's TimeEvictor).
 * As in Flink it does nothing when the first element has no timestamp.
 */
export class TimeEvictor extends EvictOnce<unknown> {
  private constructor(
    readonly windowSizeMs: number,
    doEvictAfter: boolean,
  ) {
    super(doEvictAfter)
    requireWholeNumber('TimeEvictor.of', 'windowSizeMs', windowSizeMs, 0)
  }

  /** @throws MillraceError OPTION_INVALID when `windowSizeMs` is negative or not a whole number */
  static of(windowSizeMs: number, doEvictAfter = false): TimeEvictor {
    return new TimeEvictor(windowSizeMs, doEvictAfter)
  }

  protected override evict(elements: TimestampedValue<unknown>[]): void {
    if (elements.length === 0 || elements[0].timestamp === NO_TIMESTAMP) return
    let newest = NO_TIMESTAMP
    for (const element of elements) newest = Math.max(newest, element.timestamp)
    const cutoff = newest - this.windowSizeMs
    removeWhere(elements, (element) => element.timestamp <= cutoff)
  }

  override toString(): string {
    return `TimeEvictor(${this.windowSizeMs})`
  }
}
