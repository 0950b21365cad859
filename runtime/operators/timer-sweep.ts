import type { KeyedStateBackend, Timer } from '../state/index.js'
import type { ProcessingTimeService } from './stream-operator.js'

/** Who is called when a timer of an operator fires; the backend's current key is set to the timer's. */
export interface TimerTarget {
  onEventTime(timer: Timer): void
  onProcessingTime(timer: Timer): void
}

/** The timers of one keyed operator: event timers follow its watermark, processing timers the subtask's clock. */
export class TimerSweep {
  currentWatermark = Number.NEGATIVE_INFINITY
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined

  constructor(
    readonly backend: KeyedStateBackend,
    readonly processingTime: ProcessingTimeService,
    readonly target: TimerTarget,
  ) {}

  /** Restored timers go into the queues and the clock is armed for them. */
  open(): void {
    this.backend.openTimers()
    this.#arm()
  }

  registerEventTimer(time: number, timer: Pick<Timer, 'key' | 'namespace'>): void {
    this.backend.eventTimers.register(time, timer.key, timer.namespace)
  }

  registerProcessingTimer(time: number, timer: Pick<Timer, 'key' | 'namespace'>): void {
    this.backend.processingTimers.register(time, timer.key, timer.namespace)
    if (time < this.#wakeAt) this.#arm()
  }

  advanceWatermark(watermark: number): void {
    this.currentWatermark = watermark
    this.backend.eventTimers.advance(watermark, (timer) => {
      this.backend.currentKey = timer.key
      this.target.onEventTime(timer)
    })
  }

  #arm(): void {
    const next = this.backend.processingTimers.size === 0 ? Number.POSITIVE_INFINITY : this.backend.processingTimers.nextTime
    if (next === this.#wakeAt) return
    this.#cancelWake?.()
    this.#wakeAt = next
    this.#cancelWake = next === Number.POSITIVE_INFINITY ? undefined : this.processingTime.schedule(next, () => this.#wake())
  }

  #wake(): void {
    this.#wakeAt = Number.POSITIVE_INFINITY
    this.#cancelWake = undefined
    this.backend.processingTimers.advance(this.processingTime.clock.now(), (timer) => {
      this.backend.currentKey = timer.key
      this.target.onProcessingTime(timer)
    })
    this.#arm()
  }

  close(): void {
    this.#cancelWake?.()
  }
}
