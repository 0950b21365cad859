import type { Window } from '../../core/index.js'
import { isFire, type OnMergeContext, Trigger, type TriggerContext, TriggerResult } from './trigger.js'

/** Drops a window's contents whenever the nested trigger fires (Flink's PurgingTrigger). */
export class PurgingTrigger<in T, in W extends Window> extends Trigger<T, W> {
  override readonly states

  private constructor(readonly nestedTrigger: Trigger<T, W>) {
    super()
    this.states = nestedTrigger.states
  }

  static of<T, W extends Window>(nestedTrigger: Trigger<T, W>): PurgingTrigger<T, W> {
    return new PurgingTrigger(nestedTrigger)
  }

  onElement(element: T, timestamp: number, window: W, ctx: TriggerContext): TriggerResult {
    return purging(this.nestedTrigger.onElement(element, timestamp, window, ctx))
  }

  onEventTime(time: number, window: W, ctx: TriggerContext): TriggerResult {
    return purging(this.nestedTrigger.onEventTime(time, window, ctx))
  }

  onProcessingTime(time: number, window: W, ctx: TriggerContext): TriggerResult {
    return purging(this.nestedTrigger.onProcessingTime(time, window, ctx))
  }

  override canMerge(): boolean {
    return this.nestedTrigger.canMerge()
  }

  override onMerge(window: W, ctx: OnMergeContext): void {
    this.nestedTrigger.onMerge(window, ctx)
  }

  clear(window: W, ctx: TriggerContext): void {
    this.nestedTrigger.clear(window, ctx)
  }

  override toString(): string {
    return `PurgingTrigger(${this.nestedTrigger})`
  }
}

function purging(result: TriggerResult): TriggerResult {
  return isFire(result) ? TriggerResult.FIRE_AND_PURGE : result
}
