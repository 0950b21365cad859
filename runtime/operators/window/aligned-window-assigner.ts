import type { TimeWindow } from '../../core/index.js'
import { NO_TIMESTAMP } from '../../core/index.js'
import { AlignedWindows } from './aligned-windows.js'
import { EventTimeTrigger } from './event-time-trigger.js'
import { requireWindowShape } from './option-checks.js'
import { ProcessingTimeTrigger } from './processing-time-trigger.js'
import { timeWindowFromData, timeWindowToData } from './time-window-data.js'
import { timestampMissing } from './timestamp-missing.js'
import type { Trigger } from './trigger.js'
import { WindowAssigner, type WindowAssignerContext } from './window-assigner.js'

/** Base of the tumbling and sliding assigners: windows aligned to the epoch, in either kind of time. */
abstract class AlignedWindowAssigner extends WindowAssigner<unknown, TimeWindow> {
  readonly isMerging: false = false
  protected readonly windows: AlignedWindows

  /** `where` names the factory method in errors. */
  protected constructor(where: string, sizeMs: number, slideMs: number, offsetMs: number) {
    super()
    requireWindowShape(where, sizeMs, slideMs, offsetMs)
    this.windows = new AlignedWindows(sizeMs, slideMs, offsetMs)
  }

  windowToData(window: TimeWindow): unknown {
    return timeWindowToData(window)
  }

  windowFromData(data: unknown): TimeWindow {
    return timeWindowFromData(data)
  }

  override toString(): string {
    const { sizeMs, slideMs, offsetMs } = this.windows
    const parts = [sizeMs, ...(slideMs === sizeMs ? [] : [slideMs]), ...(offsetMs === 0 ? [] : [`offset ${offsetMs}`])]
    return `${this.constructor.name}(${parts.join(', ')})`
  }
}

export abstract class AlignedEventTimeWindows extends AlignedWindowAssigner {
  readonly isEventTime = true

  assignWindows(_element: unknown, timestamp: number): readonly TimeWindow[] {
    if (timestamp === NO_TIMESTAMP) throw timestampMissing(this)
    return this.windows.of(timestamp)
  }

  getDefaultTrigger(): Trigger<unknown, TimeWindow> {
    return EventTimeTrigger.create()
  }
}

export abstract class AlignedProcessingTimeWindows extends AlignedWindowAssigner {
  readonly isEventTime = false

  assignWindows(_element: unknown, _timestamp: number, ctx: WindowAssignerContext): readonly TimeWindow[] {
    return this.windows.of(ctx.currentProcessingTime)
  }

  getDefaultTrigger(): Trigger<unknown, TimeWindow> {
    return ProcessingTimeTrigger.create()
  }
}
