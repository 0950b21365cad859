import { type Collector, NO_TIMESTAMP, type OnTimerContext, type TimerService } from '../core/index.js'
import type { KeyedStateBackend, Timer } from '../state/index.js'
import type { TimestampedCollector } from './function-operator.js'
import type { OperatorContext } from './stream-operator.js'
import { TimerSweep, type TimerTarget } from './timer-sweep.js'
import { userError } from './user-error.js'

/** What `onTimer` is given, made for the timer that fires. */
export interface TimerRecordContext {
  enterTimer(time: number, timeDomain: OnTimerContext<unknown>['timeDomain']): void
  leaveTimer(): void
}

export interface TimerFunction<C, Out> {
  onTimer?(time: number, ctx: C, out: Collector<Out>): void
}

/** The timers of a keyed process function, of one input or of two: its timer service, and the calls of `onTimer`. */
export class KeyedTimerFiring<C extends TimerRecordContext, Out> implements TimerTarget {
  readonly sweep: TimerSweep
  readonly userContext: C

  /** `contextWith` makes the function's context, which holds the timer service. */
  constructor(
    readonly fn: TimerFunction<C, Out>,
    readonly context: OperatorContext,
    readonly collector: TimestampedCollector<Out>,
    contextWith: (timers: TimerService) => C,
  ) {
    const backend = context.keyed as KeyedStateBackend
    this.sweep = new TimerSweep(backend, context.processingTime, this, collector.output)
    this.sweep.open()
    this.userContext = contextWith(new KeyedTimerService(backend, this.sweep))
  }

  onEventTime(timer: Timer): void {
    this.#fire(timer, timer.time, 'event-time')
  }

  /** Results of processing-time timers carry no timestamp, as in Flink. */
  onProcessingTime(timer: Timer): void {
    this.#fire(timer, NO_TIMESTAMP, 'processing-time')
  }

  #fire(timer: Timer, timestamp: number, timeDomain: OnTimerContext<unknown>['timeDomain']): void {
    this.collector.timestamp = timestamp
    this.userContext.enterTimer(timer.time, timeDomain)
    try {
      this.fn.onTimer?.(timer.time, this.userContext, this.collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'onTimer')
    } finally {
      this.userContext.leaveTimer()
    }
  }
}

/** Timers of the current key. */
export class KeyedTimerService implements TimerService {
  constructor(
    readonly backend: KeyedStateBackend,
    readonly timers: TimerSweep,
  ) {}

  currentProcessingTime(): number {
    return this.timers.processingTime.clock.now()
  }
  currentWatermark(): number {
    return this.timers.currentWatermark
  }
  registerEventTimeTimer(time: number): void {
    this.backend.eventTimers.register(checkedTime(time), this.backend.currentKey, null)
  }
  registerProcessingTimeTimer(time: number): void {
    this.timers.registerProcessingTimer(checkedTime(time), { key: this.backend.currentKey, namespace: null })
  }
  deleteEventTimeTimer(time: number): void {
    this.backend.eventTimers.delete(time, this.backend.currentKey, null)
  }
  deleteProcessingTimeTimer(time: number): void {
    this.backend.processingTimers.delete(time, this.backend.currentKey, null)
  }
}

function checkedTime(time: number): number {
  if (typeof time !== 'number' || Number.isNaN(time)) throw new Error(`a timer's time must be a number of milliseconds, not ${String(time)}`)
  return time
}
