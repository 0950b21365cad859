/**
 * What the sweeps of one operator's timers share: how many may still fire, and whether one stopped before its end. The embedded engine
 * leaves it without a limit; a stage on AWS gives a number, commits when it is used up, and goes on.
 */
export class SweepBudget {
  /** Timers, or windows with implied timers, that may still fire. */
  left = Number.POSITIVE_INFINITY
  /** Nothing fires, and sweeps count as finished: a restored operator is told how far its watermark had come. */
  suspended = false
  eventTimePending = false
  /** The watermark whose timers were to fire last, and the last one whose timers all have. */
  eventTimeTo = Number.NEGATIVE_INFINITY
  sweptTo = Number.NEGATIVE_INFINITY
  processingTimePending = false

  /** Asked before each timer that fires; false when there is no budget for it. */
  take(): boolean {
    if (this.left <= 0) return false
    this.left--
    return true
  }
}
