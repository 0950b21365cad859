import { ValueStateDescriptor, type Window } from '../../core/index.js'
import type { DeltaFunction } from './delta-function.js'
import { Trigger, type TriggerContext, TriggerResult } from './trigger.js'

/**
 * Fires when an element's delta to the element that fired last (at first: the first one) exceeds the threshold
 * (Flink's DeltaTrigger). Not for merging windows.
 */
export class DeltaTrigger<in out T> extends Trigger<T, Window> {
  readonly #lastElement: ValueStateDescriptor<{ readonly element: T }>
  override readonly states

  private constructor(
    readonly threshold: number,
    readonly deltaFunction: DeltaFunction<T>,
  ) {
    super()
    // Boxed, so that an element that is itself null counts as one.
    this.#lastElement = new ValueStateDescriptor('last-element')
    this.states = [this.#lastElement]
  }

  /** `deltaFunction(last, element)` gives the distance. */
  static of<T>(threshold: number, deltaFunction: DeltaFunction<T>): DeltaTrigger<T> {
    return new DeltaTrigger(threshold, deltaFunction)
  }

  onElement(element: T, _timestamp: number, _window: Window, ctx: TriggerContext): TriggerResult {
    const state = ctx.getPartitionedState(this.#lastElement)
    const last = state.value()
    if (last === null) {
      state.update({ element })
      return TriggerResult.CONTINUE
    }
    if (this.deltaFunction(last.element, element) > this.threshold) {
      state.update({ element })
      return TriggerResult.FIRE
    }
    return TriggerResult.CONTINUE
  }

  onEventTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  onProcessingTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  clear(_window: Window, ctx: TriggerContext): void {
    ctx.getPartitionedState(this.#lastElement).clear()
  }

  override toString(): string {
    return `DeltaTrigger(${this.threshold})`
  }
}
