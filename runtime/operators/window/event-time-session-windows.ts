import { NO_TIMESTAMP, type TimeWindow } from '../../core/index.js'
import { EventTimeTrigger } from './event-time-trigger.js'
import { SessionWindowAssigner, type SessionWindowTimeGapExtractor } from './session-window-assigner.js'
import { timestampMissing } from './timestamp-missing.js'
import type { Trigger } from './trigger.js'

/**
 * Sessions by event time: a session ends when its key was silent for the gap (Flink's EventTimeSessionWindows and
 * DynamicEventTimeSessionWindows). Elements exactly one gap apart are in the same session.
 */
export class EventTimeSessionWindows<in T = unknown> extends SessionWindowAssigner<T> {
  readonly isEventTime = true

  /** @throws MillraceError OPTION_INVALID unless `gapMs` is a whole number of at least 1 */
  static withGap(gapMs: number): EventTimeSessionWindows {
    return new EventTimeSessionWindows('EventTimeSessionWindows.withGap', gapMs)
  }

  /** Each element says how long its session waits for the next one. A gap of 0 or less fails the job with OPTION_INVALID. */
  static withDynamicGap<T>(gapMs: SessionWindowTimeGapExtractor<T>): EventTimeSessionWindows<T> {
    return new EventTimeSessionWindows('EventTimeSessionWindows.withDynamicGap', gapMs)
  }

  assignWindows(element: T, timestamp: number): readonly TimeWindow[] {
    if (timestamp === NO_TIMESTAMP) throw timestampMissing(this)
    return this.open(element, timestamp)
  }

  getDefaultTrigger(): Trigger<unknown, TimeWindow> {
    return EventTimeTrigger.create()
  }
}
