import {
  ContinuousEventTimeTrigger,
  ContinuousProcessingTimeTrigger,
  CountEvictor,
  CountTrigger,
  DeltaEvictor,
  DeltaTrigger,
  EventTimeTrigger,
  type Evictor,
  ProcessingTimeoutTrigger,
  ProcessingTimeTrigger,
  PurgingTrigger,
  TimeEvictor,
  type Trigger,
} from '../../runtime/index.js'
import type { Ev } from '../element.js'
import { EarlyCountTrigger } from '../functions/early-count-trigger.js'
import { unknownName } from '../unknown-name.js'

export interface TriggerSpec {
  readonly type: string
  readonly of: TriggerSpec
  readonly n: number
  readonly interval: number
  readonly threshold: number
  readonly timeout: number
  readonly resetOnElement?: boolean
  readonly clearOnTimeout?: boolean
}

export interface EvictorSpec {
  readonly type: string
  readonly n: number
  readonly ms: number
  readonly threshold: number
  readonly after?: boolean
}

const delta = (from: Ev, to: Ev) => to.v - from.v

// biome-ignore lint/suspicious/noExplicitAny: for the windows of whichever assigner the case names
export function windowTrigger(spec: TriggerSpec): Trigger<Ev, any> {
  switch (spec.type) {
    case 'event-time':
      return EventTimeTrigger.create()
    case 'proc-time':
      return ProcessingTimeTrigger.create()
    case 'count':
      return CountTrigger.of(spec.n)
    case 'purging':
      return PurgingTrigger.of(windowTrigger(spec.of))
    case 'continuous':
      return ContinuousEventTimeTrigger.of(spec.interval)
    case 'continuous-proc':
      return ContinuousProcessingTimeTrigger.of(spec.interval)
    case 'delta':
      return DeltaTrigger.of(spec.threshold, delta)
    case 'proc-timeout': {
      const { resetOnElement = false, clearOnTimeout = true } = spec
      return ProcessingTimeoutTrigger.of(windowTrigger(spec.of), spec.timeout, { resetOnElement, clearOnTimeout })
    }
    case 'early-count':
      return new EarlyCountTrigger(spec.n)
    default:
      throw unknownName('trigger', spec.type)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: for the windows of whichever assigner the case names
export function windowEvictor({ type, n, ms, threshold, after = false }: EvictorSpec): Evictor<Ev, any> {
  switch (type) {
    case 'count':
      return CountEvictor.of(n, after)
    case 'time':
      return TimeEvictor.of(ms, after)
    case 'delta':
      return DeltaEvictor.of(threshold, delta, after)
    default:
      throw unknownName('evictor', type)
  }
}
