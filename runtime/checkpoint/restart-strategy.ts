/** How a failed job starts again (Flink's restart strategies). Default: `fixed-delay` with 3 attempts 1 s apart when checkpoints are on, else `none`. */
export type RestartStrategy =
  | { readonly kind: 'none' }
  | { readonly kind: 'fixed-delay'; readonly attempts: number; readonly delayMs: number }
  | {
      readonly kind: 'exponential-delay'
      readonly initialDelayMs: number
      readonly maxDelayMs: number
      readonly multiplier: number
      /** Running this long without a failure starts from the initial delay again. */
      readonly resetAfterMs: number
      /** Failures in a row after which the job is given up; without it never. */
      readonly attempts?: number
    }
  | { readonly kind: 'failure-rate'; readonly failures: number; readonly intervalMs: number; readonly delayMs: number }

export type RestartDecision = { readonly restartInMs: number } | 'give-up'

/** `failureTimesMs`: every failure of the job so far, ascending, the one to decide on last; epoch ms, as is `now`. */
export type RestartDecider = (failureTimesMs: readonly number[], now: number) => RestartDecision

export function defaultRestartStrategy(checkpointsAreOn: boolean): RestartStrategy {
  return checkpointsAreOn ? { kind: 'fixed-delay', attempts: 3, delayMs: 1_000 } : { kind: 'none' }
}

/** What a strategy says to a failure that may be retried. */
export function createRestartDecider(strategy: RestartStrategy): RestartDecider {
  switch (strategy.kind) {
    case 'none':
      return () => 'give-up'
    case 'fixed-delay':
      return (failures) => (failures.length <= strategy.attempts ? { restartInMs: strategy.delayMs } : 'give-up')
    case 'exponential-delay':
      return (failures) => decideExponential(strategy, failures)
    case 'failure-rate':
      return (failures, now) => {
        const recent = failures.filter((time) => time > now - strategy.intervalMs).length
        return recent <= strategy.failures ? { restartInMs: strategy.delayMs } : 'give-up'
      }
  }
}

/** Replays the failures: the delay grows with each and starts over after a quiet time, in which the delay itself does not count. */
function decideExponential(strategy: Extract<RestartStrategy, { kind: 'exponential-delay' }>, failures: readonly number[]): RestartDecision {
  let delay = 0
  let inARow = 0
  failures.forEach((time, i) => {
    const quiet = i > 0 && time - failures[i - 1] >= strategy.resetAfterMs + delay
    inARow = quiet ? 1 : inARow + 1
    delay = Math.min(strategy.maxDelayMs, inARow === 1 ? strategy.initialDelayMs : delay * strategy.multiplier)
  })
  return strategy.attempts !== undefined && inARow > strategy.attempts ? 'give-up' : { restartInMs: delay }
}
