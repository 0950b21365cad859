import type { KeyedStateBackend, Timer } from '../state/index.js'
import type { Output, ProcessingTimeService } from './stream-operator.js'

/** Who is called when a timer of an operator fires; the backend's current key is set to the timer's. */
export interface TimerTarget {
  onEventTime(timer: Timer): void
  onProcessingTime(timer: Timer): void
}

/**
 * The timers of one keyed operator: event timers follow its watermark, processing timers the subtask's clock. A sweep that the backend's
 * budget stops goes on with the next call; until it has finished, the watermark and a status behind it do not pass.
 */
export class TimerSweep {
  currentWatermark = Number.NEGATIVE_INFINITY
  #wakeAt = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined
  /** Came while the watermark before it was held back. */
  #heldStatus: boolean | undefined

  constructor(
    readonly backend: KeyedStateBackend,
    readonly processingTime: ProcessingTimeService,
    readonly target: TimerTarget,
    readonly output: Pick<Output<never>, 'emitWatermark' | 'emitStatus'>,
  ) {}

  /** Restored timers go into the queues and the clock is armed for them. */
  open(): void {
    this.backend.openTimers()
    this.backend.timersLoaded = () => {
      if (!this.backend.sweeps.processingTimePending) this.#arm()
    }
    this.#arm()
  }

  registerEventTimer(time: number, timer: Pick<Timer, 'key' | 'namespace'>): void {
    this.backend.eventTimers.register(time, timer.key, timer.namespace)
  }

  registerProcessingTimer(time: number, timer: Pick<Timer, 'key' | 'namespace'>): void {
    this.backend.processingTimers.register(time, timer.key, timer.namespace)
    if (time < this.#wakeAt && !this.backend.sweeps.processingTimePending) this.#arm()
  }

  /** Fires what the watermark makes due. False when the budget stopped it, or timers are not in memory: the same watermark again goes on. */
  advanceWatermark(watermark: number): boolean {
    const { sweeps } = this.backend
    this.currentWatermark = watermark
    sweeps.eventTimeTo = watermark
    const finished = this.backend.eventTimers.advance(watermark, (timer) => {
      this.backend.currentKey = timer.key
      this.target.onEventTime(timer)
    })
    sweeps.eventTimePending = !finished
    if (finished) sweeps.sweptTo = watermark
    return finished
  }

  /** Advances, and lets the watermark pass once everything has fired. */
  processWatermark(watermark: number): void {
    if (!this.advanceWatermark(watermark)) return
    this.output.emitWatermark(watermark)
    const status = this.#heldStatus
    this.#heldStatus = undefined
    if (status !== undefined) this.output.emitStatus(status)
  }

  /** Never before the watermark that came before it: whoever is idle is not listened to. */
  processStatus(idle: boolean): void {
    if (this.backend.sweeps.eventTimePending) this.#heldStatus = idle
    else this.output.emitStatus(idle)
  }

  /** Goes on with what the budget stopped; the event-time sweep through the operator, which may have timers of its own. */
  resume(operator: { processWatermark(watermark: number): void }): void {
    if (this.backend.sweeps.eventTimePending) operator.processWatermark(this.currentWatermark)
    if (this.backend.sweeps.processingTimePending) this.#fireDue()
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
    this.#fireDue()
  }

  /** A sweep that stopped is not called back by the clock, for which it would be due at once, but resumed. */
  #fireDue(): void {
    const { sweeps, processingTimers } = this.backend
    const now = this.processingTime.clock.now()
    const finished = processingTimers.advance(now, (timer) => {
      this.backend.currentKey = timer.key
      this.target.onProcessingTime(timer)
    })
    sweeps.processingTimePending = !finished || (sweeps.suspended && processingTimers.nextTime <= now)
    if (sweeps.processingTimePending) this.#disarm()
    else this.#arm()
  }

  #disarm(): void {
    this.#cancelWake?.()
    this.#cancelWake = undefined
    this.#wakeAt = Number.POSITIVE_INFINITY
  }

  close(): void {
    this.#cancelWake?.()
  }
}
