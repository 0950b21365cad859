import type { DeltaFunction } from './delta-function.js'
import { EvictOnce } from './evict-once.js'
import { removeWhere, type TimestampedValue } from './evictor.js'

/** Removes each element whose delta to the last one is at least `threshold` (Flink's DeltaEvictor). */
export class DeltaEvictor<in T> extends EvictOnce<T> {
  private constructor(
    readonly threshold: number,
    readonly deltaFunction: DeltaFunction<T>,
    doEvictAfter: boolean,
  ) {
    super(doEvictAfter)
  }

  /** `deltaFunction(element, last)` gives the distance; the last element itself is compared too. */
  static of<T>(threshold: number, deltaFunction: DeltaFunction<T>, doEvictAfter = false): DeltaEvictor<T> {
    return new DeltaEvictor(threshold, deltaFunction, doEvictAfter)
  }

  protected override evict(elements: TimestampedValue<T>[]): void {
    if (elements.length === 0) return
    const last = elements[elements.length - 1].value
    removeWhere(elements, (element) => this.deltaFunction(element.value, last) >= this.threshold)
  }

  override toString(): string {
    return `DeltaEvictor(${this.threshold})`
  }
}
