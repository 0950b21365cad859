/** Time of day. The only way the engine learns it. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Milliseconds from some fixed point, never going back; for durations. */
  monotonic(): number
}
