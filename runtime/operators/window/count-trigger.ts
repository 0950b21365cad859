import { ReducingStateDescriptor, type Window } from '../../core/index.js'
import { requireWholeNumber } from './option-checks.js'
import { type OnMergeContext, Trigger, type TriggerContext, TriggerResult } from './trigger.js'

const COUNT = new ReducingStateDescriptor<number>('count', (a, b) => a + b)

/** Fires at every `maxCount`-th element of a window, and not at the window's end (Flink's CountTrigger). */
export class CountTrigger extends Trigger<unknown, Window> {
  override readonly states = [COUNT]

  private constructor(readonly maxCount: number) {
    super()
    requireWholeNumber('CountTrigger.of', 'maxCount', maxCount, 1)
  }

  /** @throws MillraceError OPTION_INVALID when `maxCount` is not a whole number of at least 1 */
  static of(maxCount: number): CountTrigger {
    return new CountTrigger(maxCount)
  }

  onElement(_element: unknown, _timestamp: number, _window: Window, ctx: TriggerContext): TriggerResult {
    const count = ctx.getPartitionedState(COUNT)
    count.add(1)
    if ((count.get() as number) < this.maxCount) return TriggerResult.CONTINUE
    count.clear()
    return TriggerResult.FIRE
  }

  onEventTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  onProcessingTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  override canMerge(): boolean {
    return true
  }

  override onMerge(_window: Window, ctx: OnMergeContext): void {
    ctx.mergePartitionedState(COUNT)
  }

  clear(_window: Window, ctx: TriggerContext): void {
    ctx.getPartitionedState(COUNT).clear()
  }

  override toString(): string {
    return `CountTrigger(${this.maxCount})`
  }
}
