import type { Window } from '../../core/index.js'
import type { Evictor, TimestampedValue } from './evictor.js'

/** Base of Flink's three evictors: they do the same either before or after the window function. */
export abstract class EvictOnce<in T> implements Evictor<T, Window> {
  protected constructor(readonly doEvictAfter: boolean) {}

  evictBefore(elements: TimestampedValue<T>[]): void {
    if (!this.doEvictAfter) this.evict(elements)
  }

  evictAfter(elements: TimestampedValue<T>[]): void {
    if (this.doEvictAfter) this.evict(elements)
  }

  protected abstract evict(elements: TimestampedValue<T>[]): void
}
