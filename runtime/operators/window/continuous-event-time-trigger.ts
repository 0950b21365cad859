import { type AppendingStateHandle, MAX_WATERMARK, MillraceError, NO_TIMESTAMP, ReducingStateDescriptor, type Window } from '../../core/index.js'
import { requireWholeNumber } from './option-checks.js'
import { type OnMergeContext, Trigger, type TriggerContext, TriggerResult } from './trigger.js'

/** The next time to fire. When windows merge, the earliest of theirs counts. */
const FIRE_TIME = new ReducingStateDescriptor<number>('fire-time', Math.min)

/**
 * Fires whenever the watermark passes a multiple of the interval, and at the window's end (Flink's
 * ContinuousEventTimeTrigger). On a global window it fires at each interval for ever; where Flink then never ends after
 * the last watermark, this one fires once more and is done.
 */
export class ContinuousEventTimeTrigger extends Trigger<unknown, Window> {
  override readonly states = [FIRE_TIME]

  private constructor(readonly intervalMs: number) {
    super()
    requireWholeNumber('ContinuousEventTimeTrigger.of', 'intervalMs', intervalMs, 1)
  }

  /** @throws MillraceError OPTION_INVALID when `intervalMs` is not a whole number of at least 1 */
  static of(intervalMs: number): ContinuousEventTimeTrigger {
    return new ContinuousEventTimeTrigger(intervalMs)
  }

  onElement(_element: unknown, timestamp: number, window: Window, ctx: TriggerContext): TriggerResult {
    if (window.maxTimestamp <= ctx.currentWatermark) return TriggerResult.FIRE
    ctx.registerEventTimeTimer(window.maxTimestamp)
    const fireTime = ctx.getPartitionedState(FIRE_TIME)
    if (fireTime.get() === null) {
      if (timestamp === NO_TIMESTAMP) throw this.#timestampMissing()
      this.#registerNext(timestamp - (timestamp % this.intervalMs), window, ctx, fireTime)
    }
    return TriggerResult.CONTINUE
  }

  onEventTime(time: number, window: Window, ctx: TriggerContext): TriggerResult {
    if (time === window.maxTimestamp) return TriggerResult.FIRE
    const fireTime = ctx.getPartitionedState(FIRE_TIME)
    if (fireTime.get() !== time) return TriggerResult.CONTINUE
    fireTime.clear()
    this.#registerNext(time, window, ctx, fireTime)
    return TriggerResult.FIRE
  }

  onProcessingTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  override canMerge(): boolean {
    return true
  }

  override onMerge(_window: Window, ctx: OnMergeContext): void {
    ctx.mergePartitionedState(FIRE_TIME)
    const next = ctx.getPartitionedState(FIRE_TIME).get()
    if (next !== null) ctx.registerEventTimeTimer(next)
  }

  clear(_window: Window, ctx: TriggerContext): void {
    const fireTime = ctx.getPartitionedState(FIRE_TIME)
    const next = fireTime.get()
    if (next === null) return
    ctx.deleteEventTimeTimer(next)
    fireTime.clear()
  }

  override toString(): string {
    return `ContinuousEventTimeTrigger(${this.intervalMs})`
  }

  #registerNext(time: number, window: Window, ctx: TriggerContext, fireTime: AppendingStateHandle<number, number>): void {
    // Stepping by the interval would never reach the end of a global window once event time has ended.
    const next =
      ctx.currentWatermark === MAX_WATERMARK && window.maxTimestamp === MAX_WATERMARK
        ? MAX_WATERMARK
        : Math.min(time + this.intervalMs, window.maxTimestamp)
    fireTime.add(next)
    ctx.registerEventTimeTimer(next)
  }

  #timestampMissing(): MillraceError {
    return new MillraceError('TIMESTAMP_MISSING', {
      what: 'a record has no timestamp',
      where: `${this}`,
      todo: 'Call assignTimestampsAndWatermarks before the window, or use ContinuousProcessingTimeTrigger.',
    })
  }
}
