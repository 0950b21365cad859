import type { Clock } from '../ports/index.js'

/** A clock that stands still until it is set. */
export class ManualClock implements Clock {
  #now: number

  /** Epoch milliseconds. */
  constructor(now = 0) {
    this.#now = now
  }

  now(): number {
    return this.#now
  }

  monotonic(): number {
    return this.#now
  }

  set(now: number): void {
    this.#now = now
  }
}
