import type { TimeWindow } from '../../core/index.js'
import { type OnMergeContext, Trigger, type TriggerContext, TriggerResult } from './trigger.js'

/** Fires once the watermark passes the end of the window, and again at each element that is late but allowed (Flink's EventTimeTrigger). */
export class EventTimeTrigger extends Trigger<unknown, TimeWindow> {
  static readonly #instance = new EventTimeTrigger()

  private constructor() {
    super()
  }

  static create(): EventTimeTrigger {
    return EventTimeTrigger.#instance
  }

  onElement(_element: unknown, _timestamp: number, window: TimeWindow, ctx: TriggerContext): TriggerResult {
    if (window.maxTimestamp <= ctx.currentWatermark) return TriggerResult.FIRE
    ctx.registerEventTimeTimer(window.maxTimestamp)
    return TriggerResult.CONTINUE
  }

  // Other timers of the window, such as the one that cleans up after the allowed lateness, come here too.
  onEventTime(time: number, window: TimeWindow): TriggerResult {
    return time === window.maxTimestamp ? TriggerResult.FIRE : TriggerResult.CONTINUE
  }

  onProcessingTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  override canMerge(): boolean {
    return true
  }

  // A window whose end has passed must not get a timer: it would fire at once, and then again for the element at hand.
  override onMerge(window: TimeWindow, ctx: OnMergeContext): void {
    if (window.maxTimestamp > ctx.currentWatermark) ctx.registerEventTimeTimer(window.maxTimestamp)
  }

  clear(window: TimeWindow, ctx: TriggerContext): void {
    ctx.deleteEventTimeTimer(window.maxTimestamp)
  }
}
