import { EvictOnce } from './evict-once.js'
import type { TimestampedValue } from './evictor.js'
import { requireWholeNumber } from './option-checks.js'

/** Keeps the last `maxCount` elements (Flink's CountEvictor). */
export class CountEvictor extends EvictOnce<unknown> {
  private constructor(
    readonly maxCount: number,
    doEvictAfter: boolean,
  ) {
    super(doEvictAfter)
    requireWholeNumber('CountEvictor.of', 'maxCount', maxCount, 0)
  }

  /** @throws MillraceError OPTION_INVALID when `maxCount` is negative or not a whole number */
  static of(maxCount: number, doEvictAfter = false): CountEvictor {
    return new CountEvictor(maxCount, doEvictAfter)
  }

  protected override evict(elements: TimestampedValue<unknown>[]): void {
    if (elements.length > this.maxCount) elements.splice(0, elements.length - this.maxCount)
  }

  override toString(): string {
    return `CountEvictor(${this.maxCount})`
  }
}
