import type { Window } from '../../core/index.js'
import { Trigger, TriggerResult } from './trigger.js'

/** Never fires: the default of global windows (Flink's NeverTrigger). */
export class NeverTrigger extends Trigger<unknown, Window> {
  static readonly #instance = new NeverTrigger()

  private constructor() {
    super()
  }

  static create(): NeverTrigger {
    return NeverTrigger.#instance
  }

  onElement(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  onEventTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  onProcessingTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  override onMerge(): void {}

  clear(): void {}
}
