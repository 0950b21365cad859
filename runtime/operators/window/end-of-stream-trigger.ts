import type { GlobalWindow } from '../../core/index.js'
import { Trigger, type TriggerContext, TriggerResult } from './trigger.js'

/** Fires once, when the input has ended (Flink's EndOfStreamTrigger). */
export class EndOfStreamTrigger extends Trigger<unknown, GlobalWindow> {
  static readonly #instance = new EndOfStreamTrigger()

  private constructor() {
    super()
  }

  static create(): EndOfStreamTrigger {
    return EndOfStreamTrigger.#instance
  }

  onElement(_element: unknown, _timestamp: number, window: GlobalWindow, ctx: TriggerContext): TriggerResult {
    ctx.registerEventTimeTimer(window.maxTimestamp)
    return TriggerResult.CONTINUE
  }

  onEventTime(time: number, window: GlobalWindow): TriggerResult {
    return time === window.maxTimestamp ? TriggerResult.FIRE : TriggerResult.CONTINUE
  }

  onProcessingTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  override onMerge(): void {}

  clear(): void {}
}
