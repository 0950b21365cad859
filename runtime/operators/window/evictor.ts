import type { Window } from '../../core/index.js'

/** A window's element with its timestamp (epoch ms, -Infinity when it has none). */
export interface TimestampedValue<out T> {
  readonly value: T
  readonly timestamp: number
}

/** What an evictor may ask for (Flink's Evictor.EvictorContext). */
export interface EvictorContext {
  /** Epoch milliseconds. */
  readonly currentProcessingTime: number
  readonly currentWatermark: number
}

/**
 * Removes elements from a window when it fires, before or after the window function (Flink's Evictor). `elements` are
 * in order of arrival; what a method takes out of this array is gone from the window for good. `size` is
 * `elements.length` at the call. The array belongs to the operator: it must not be kept.
 *
 * @example
 * const newestHalf: Evictor<Reading, TimeWindow> = {
 *   evictBefore: (elements, size) => void elements.splice(0, size >> 1),
 *   evictAfter: () => {},
 * }
 */
export interface Evictor<in T, in W extends Window> {
  /** Called before the window function runs. */
  evictBefore(elements: TimestampedValue<T>[], size: number, window: W, ctx: EvictorContext): void
  /** Called after the window function has run, with what `evictBefore` left. */
  evictAfter(elements: TimestampedValue<T>[], size: number, window: W, ctx: EvictorContext): void
}

/** Takes out, in one pass and in place, every element for which `evict` says true. */
export function removeWhere<E>(elements: E[], evict: (element: E) => boolean): void {
  let kept = 0
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i]
    if (!evict(element)) elements[kept++] = element
  }
  elements.length = kept
}
