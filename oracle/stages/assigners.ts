import {
  EventTimeSessionWindows,
  GlobalWindows,
  ProcessingTimeSessionWindows,
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
  type WindowAssigner,
} from '../../runtime/index.js'
import type { Ev } from '../element.js'
import { unknownName } from '../unknown-name.js'

export interface AssignerSpec {
  readonly type: string
  readonly size: number
  readonly slide: number
  readonly gap: number
  readonly offset?: number
}

// biome-ignore lint/suspicious/noExplicitAny: time windows and global windows, as the case says
export function windowAssigner({ type, size, slide, gap, offset = 0 }: AssignerSpec): WindowAssigner<Ev, any> {
  switch (type) {
    case 'tumbling':
      return TumblingEventTimeWindows.of(size, offset)
    case 'sliding':
      return SlidingEventTimeWindows.of(size, slide, offset)
    case 'session':
      return EventTimeSessionWindows.withGap(gap)
    case 'session-dynamic':
      return EventTimeSessionWindows.withDynamicGap<Ev>(({ v }) => v)
    case 'global':
      return GlobalWindows.create()
    case 'global-end':
      return GlobalWindows.createWithEndOfStreamTrigger()
    case 'tumbling-proc':
      return TumblingProcessingTimeWindows.of(size, offset)
    case 'sliding-proc':
      return SlidingProcessingTimeWindows.of(size, slide, offset)
    case 'session-proc':
      return ProcessingTimeSessionWindows.withGap(gap)
    default:
      throw unknownName('assigner', type)
  }
}
