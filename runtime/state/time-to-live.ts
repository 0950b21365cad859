import type { StateTtlConfig } from '../core/index.js'

/** A value in state that expires. Changed in place where reading renews it. */
export interface TimedValue<T> {
  readonly value: T
  /** When it was written last, or read where that counts; epoch ms of the subtask's clock. */
  at: number
}

/** The rules of one state's time to live. */
export class TimeToLive {
  readonly background: boolean
  readonly renewedByReading: boolean
  /** Whether a value that is found expired is given out before it is removed. */
  readonly showsExpired: boolean
  readonly #ttlMs: number

  constructor(
    config: StateTtlConfig,
    readonly now: () => number,
  ) {
    this.#ttlMs = config.ttlMs
    this.background = config.cleanupInBackground ?? true
    this.renewedByReading = config.update === 'read-write'
    this.showsExpired = config.visibility === 'return-expired' && !this.background
  }

  expired({ at }: TimedValue<unknown>): boolean {
    return at + this.#ttlMs <= this.now()
  }

  timed<T>(value: T): TimedValue<T> {
    return { value, at: this.now() }
  }
}

/** Merges two values by `rule`; the result is as young as the younger one. */
export function mergeTimed(rule: (a: unknown, b: unknown) => unknown): (a: unknown, b: unknown) => TimedValue<unknown> {
  return (a, b) => {
    const [first, second] = [a as TimedValue<unknown>, b as TimedValue<unknown>]
    return { value: rule(first.value, second.value), at: Math.max(first.at, second.at) }
  }
}
