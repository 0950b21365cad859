import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRestartDecider, defaultRestartStrategy } from '../../runtime/checkpoint/index.js'

const again = (restartInMs: number) => ({ restartInMs })

describe('restart strategies', () => {
  it('none gives up at once; the default depends on checkpoints', () => {
    expect(createRestartDecider({ kind: 'none' })([5], 5)).toBe('give-up')
    expect(defaultRestartStrategy(false)).toEqual({ kind: 'none' })
    expect(defaultRestartStrategy(true)).toEqual({ kind: 'fixed-delay', attempts: 3, delayMs: 1000 })
  })

  it('fixed-delay starts again as often as it has attempts', () => {
    const decide = createRestartDecider({ kind: 'fixed-delay', attempts: 2, delayMs: 50 })
    expect([decide([1], 1), decide([1, 2], 2), decide([1, 2, 3], 3)]).toEqual([again(50), again(50), 'give-up'])
    expect(createRestartDecider({ kind: 'fixed-delay', attempts: 0, delayMs: 50 })([1], 1)).toBe('give-up')
  })

  it('failure-rate counts the failures of the interval that ends now', () => {
    const decide = createRestartDecider({ kind: 'failure-rate', failures: 2, intervalMs: 100, delayMs: 5 })
    expect(decide([0, 50, 99], 99)).toBe('give-up')
    expect(decide([0, 50, 100], 100)).toEqual(again(5))
    expect(decide([0, 1, 2, 3, 500], 500)).toEqual(again(5))
  })

  const exponential = { kind: 'exponential-delay', initialDelayMs: 10, maxDelayMs: 70, multiplier: 2, resetAfterMs: 1000 } as const

  it('exponential-delay grows up to its maximum and starts over after a quiet time', () => {
    const decide = createRestartDecider(exponential)
    const failures = [0, 20, 50, 100, 200]
    expect(failures.map((time, i) => decide(failures.slice(0, i + 1), time))).toEqual([10, 20, 40, 70, 70].map(again))
    // The delay of 70 ms is not time in which the job ran.
    expect(decide([...failures, 1269], 1269)).toEqual(again(70))
    expect(decide([...failures, 1270], 1270)).toEqual(again(10))
  })

  it('exponential-delay gives up after its attempts in a row', () => {
    const decide = createRestartDecider({ ...exponential, attempts: 2 })
    expect(decide([0, 20, 50], 50)).toBe('give-up')
    expect(decide([0, 20, 2000], 2000)).toEqual(again(10))
  })

  it('exponential-delay is never below the first nor above the largest delay', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5000), { minLength: 1, maxLength: 50, size: 'max' }), (gaps) => {
        let now = 0
        const failures = gaps.map((gap) => (now += gap))
        const decision = createRestartDecider(exponential)(failures, now)
        expect(decision).toEqual(again(Math.min(70, Math.max(10, (decision as { restartInMs: number }).restartInMs))))
      }),
    )
  })
})
