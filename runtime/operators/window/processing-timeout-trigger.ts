import { ValueStateDescriptor, type Window } from '../../core/index.js'
import { requireWholeNumber } from './option-checks.js'
import { isFire, isPurge, Trigger, type TriggerContext, TriggerResult } from './trigger.js'

const TIMEOUT = new ValueStateDescriptor<number>('timeout')

/** When the timeout of a `ProcessingTimeoutTrigger` starts and what its firing clears. */
export interface ProcessingTimeoutOptions {
  /** Each element starts the timeout anew. Default false: the first element after a firing starts it. */
  readonly resetOnElement?: boolean
  /** The nested trigger's state and the timer are cleared when the timeout fires. Default true. */
  readonly clearOnTimeout?: boolean
}

/**
 * Fires when the nested trigger does, or when the clock has moved on by `timeoutMs` since the first element (Flink's
 * ProcessingTimeoutTrigger). As in Flink any timer of the window fires it, also an event-time timer at which the nested
 * trigger would go on. Not for merging windows.
 */
export class ProcessingTimeoutTrigger<in T, in W extends Window> extends Trigger<T, W> {
  override readonly states
  readonly #resetOnElement: boolean
  readonly #clearOnTimeout: boolean

  private constructor(
    readonly nestedTrigger: Trigger<T, W>,
    readonly timeoutMs: number,
    options: ProcessingTimeoutOptions,
  ) {
    super()
    requireWholeNumber('ProcessingTimeoutTrigger.of', 'timeoutMs', timeoutMs, 0)
    this.states = [TIMEOUT, ...(nestedTrigger.states ?? [])]
    this.#resetOnElement = options.resetOnElement ?? false
    this.#clearOnTimeout = options.clearOnTimeout ?? true
  }

  /** @throws MillraceError OPTION_INVALID when `timeoutMs` is negative or not a whole number */
  static of<T, W extends Window>(
    nestedTrigger: Trigger<T, W>,
    timeoutMs: number,
    options: ProcessingTimeoutOptions = {},
  ): ProcessingTimeoutTrigger<T, W> {
    return new ProcessingTimeoutTrigger(nestedTrigger, timeoutMs, options)
  }

  onElement(element: T, timestamp: number, window: W, ctx: TriggerContext): TriggerResult {
    const result = this.nestedTrigger.onElement(element, timestamp, window, ctx)
    if (isFire(result)) {
      this.clear(window, ctx)
      return result
    }
    const timeout = ctx.getPartitionedState(TIMEOUT)
    const running = timeout.value()
    if (running !== null) {
      if (!this.#resetOnElement) return result
      ctx.deleteProcessingTimeTimer(running)
    }
    const next = ctx.currentProcessingTime + this.timeoutMs
    timeout.update(next)
    ctx.registerProcessingTimeTimer(next)
    return result
  }

  onProcessingTime(time: number, window: W, ctx: TriggerContext): TriggerResult {
    return this.#onTimer(this.nestedTrigger.onProcessingTime(time, window, ctx), window, ctx)
  }

  onEventTime(time: number, window: W, ctx: TriggerContext): TriggerResult {
    return this.#onTimer(this.nestedTrigger.onEventTime(time, window, ctx), window, ctx)
  }

  clear(window: W, ctx: TriggerContext): void {
    const timeout = ctx.getPartitionedState(TIMEOUT)
    const running = timeout.value()
    if (running !== null) {
      ctx.deleteProcessingTimeTimer(running)
      timeout.clear()
    }
    this.nestedTrigger.clear(window, ctx)
  }

  override toString(): string {
    return `ProcessingTimeoutTrigger(${this.nestedTrigger}, ${this.timeoutMs})`
  }

  #onTimer(nested: TriggerResult, window: W, ctx: TriggerContext): TriggerResult {
    if (this.#clearOnTimeout) this.clear(window, ctx)
    return isPurge(nested) ? TriggerResult.FIRE_AND_PURGE : TriggerResult.FIRE
  }
}
