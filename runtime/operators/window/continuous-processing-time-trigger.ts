import { type AppendingStateHandle, ReducingStateDescriptor, type Window } from '../../core/index.js'
import { requireWholeNumber } from './option-checks.js'
import { type OnMergeContext, Trigger, type TriggerContext, TriggerResult } from './trigger.js'

/** The next time to fire. When windows merge, the earliest of theirs counts. */
const FIRE_TIME = new ReducingStateDescriptor<number>('fire-time', Math.min)

/** Fires whenever the clock passes a multiple of the interval, and at the window's end (Flink's ContinuousProcessingTimeTrigger). */
export class ContinuousProcessingTimeTrigger extends Trigger<unknown, Window> {
  override readonly states = [FIRE_TIME]

  private constructor(readonly intervalMs: number) {
    super()
    requireWholeNumber('ContinuousProcessingTimeTrigger.of', 'intervalMs', intervalMs, 1)
  }

  /** @throws MillraceError OPTION_INVALID when `intervalMs` is not a whole number of at least 1 */
  static of(intervalMs: number): ContinuousProcessingTimeTrigger {
    return new ContinuousProcessingTimeTrigger(intervalMs)
  }

  onElement(_element: unknown, _timestamp: number, window: Window, ctx: TriggerContext): TriggerResult {
    const fireTime = ctx.getPartitionedState(FIRE_TIME)
    if (fireTime.get() === null) {
      const now = ctx.currentProcessingTime
      this.#registerNext(now - (now % this.intervalMs), window, ctx, fireTime)
    }
    return TriggerResult.CONTINUE
  }

  onEventTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  onProcessingTime(time: number, window: Window, ctx: TriggerContext): TriggerResult {
    if (time === window.maxTimestamp) return TriggerResult.FIRE
    const fireTime = ctx.getPartitionedState(FIRE_TIME)
    if (fireTime.get() !== time) return TriggerResult.CONTINUE
    fireTime.clear()
    this.#registerNext(time, window, ctx, fireTime)
    return TriggerResult.FIRE
  }

  override canMerge(): boolean {
    return true
  }

  override onMerge(_window: Window, ctx: OnMergeContext): void {
    ctx.mergePartitionedState(FIRE_TIME)
    const next = ctx.getPartitionedState(FIRE_TIME).get()
    if (next !== null) ctx.registerProcessingTimeTimer(next)
  }

  clear(_window: Window, ctx: TriggerContext): void {
    const fireTime = ctx.getPartitionedState(FIRE_TIME)
    const next = fireTime.get()
    if (next === null) return
    ctx.deleteProcessingTimeTimer(next)
    fireTime.clear()
  }

  override toString(): string {
    return `ContinuousProcessingTimeTrigger(${this.intervalMs})`
  }

  #registerNext(time: number, window: Window, ctx: TriggerContext, fireTime: AppendingStateHandle<number, number>): void {
    const next = Math.min(time + this.intervalMs, window.maxTimestamp)
    fireTime.add(next)
    ctx.registerProcessingTimeTimer(next)
  }
}
