import type { TimeWindow } from '../../core/index.js'
import { ProcessingTimeTrigger } from './processing-time-trigger.js'
import { SessionWindowAssigner, type SessionWindowTimeGapExtractor } from './session-window-assigner.js'
import type { Trigger } from './trigger.js'
import type { WindowAssignerContext } from './window-assigner.js'

/** Sessions by the clock (Flink's ProcessingTimeSessionWindows and DynamicProcessingTimeSessionWindows). */
export class ProcessingTimeSessionWindows<in T = unknown> extends SessionWindowAssigner<T> {
  readonly isEventTime = false

  /** @throws MillraceError OPTION_INVALID unless `gapMs` is a whole number of at least 1 */
  static withGap(gapMs: number): ProcessingTimeSessionWindows {
    return new ProcessingTimeSessionWindows('ProcessingTimeSessionWindows.withGap', gapMs)
  }

  /** Each element says how long its session waits for the next one. A gap of 0 or less fails the job with OPTION_INVALID. */
  static withDynamicGap<T>(gapMs: SessionWindowTimeGapExtractor<T>): ProcessingTimeSessionWindows<T> {
    return new ProcessingTimeSessionWindows('ProcessingTimeSessionWindows.withDynamicGap', gapMs)
  }

  assignWindows(element: T, _timestamp: number, ctx: WindowAssignerContext): readonly TimeWindow[] {
    return this.open(element, ctx.currentProcessingTime)
  }

  getDefaultTrigger(): Trigger<unknown, TimeWindow> {
    return ProcessingTimeTrigger.create()
  }
}
