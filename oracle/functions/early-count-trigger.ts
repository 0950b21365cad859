import { type OnMergeContext, ReducingStateDescriptor, type TimeWindow, Trigger, type TriggerContext, TriggerResult } from '../../runtime/index.js'

const EARLY = new ReducingStateDescriptor<number>('early', (a, b) => a + b)

/** Fires whenever `count` more elements have arrived, at the end of the window, and at each late element; never purges. */
export class EarlyCountTrigger extends Trigger<unknown, TimeWindow> {
  override readonly states = [EARLY]

  constructor(readonly count: number) {
    super()
  }

  onElement(_element: unknown, _timestamp: number, window: TimeWindow, ctx: TriggerContext): TriggerResult {
    if (window.maxTimestamp <= ctx.currentWatermark) return TriggerResult.FIRE
    ctx.registerEventTimeTimer(window.maxTimestamp)
    const early = ctx.getPartitionedState(EARLY)
    early.add(1)
    if ((early.get() as number) < this.count) return TriggerResult.CONTINUE
    early.clear()
    return TriggerResult.FIRE
  }

  onProcessingTime(): TriggerResult {
    return TriggerResult.CONTINUE
  }

  onEventTime(time: number, window: TimeWindow): TriggerResult {
    return time === window.maxTimestamp ? TriggerResult.FIRE : TriggerResult.CONTINUE
  }

  override canMerge(): boolean {
    return true
  }

  override onMerge(window: TimeWindow, ctx: OnMergeContext): void {
    ctx.mergePartitionedState(EARLY)
    if (window.maxTimestamp > ctx.currentWatermark) ctx.registerEventTimeTimer(window.maxTimestamp)
  }

  clear(window: TimeWindow, ctx: TriggerContext): void {
    ctx.deleteEventTimeTimer(window.maxTimestamp)
    ctx.getPartitionedState(EARLY).clear()
  }
}
