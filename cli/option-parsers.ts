import { InvalidArgumentError } from 'commander'
import type { RestartStrategy } from '../runtime/local/run-options.js'

/** Parser of a whole number from `least` to `most` for commander, which adds the option's name to the message. */
export function integer(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(
        most === Number.MAX_SAFE_INTEGER ? `Give a whole number, at least ${least}.` : `Give a whole number from ${least} to ${most}.`,
      )
    }
    return value
  }
}

/** Parser of a number of at least 0. */
export function amount(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a number, at least 0.')
}

/** `name=physical`, given as often as there are names. */
export function binding(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, name, physical] = /^([^=]+)=(.+)$/.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('Give name=physical, as in accessLog=access-log-dev.')
  return { ...before, [name]: physical }
}

const RESTART_FORMS = [
  'none',
  'fixed-delay:ATTEMPTS:DELAY_MS',
  'exponential-delay:INITIAL_MS:MAX_MS[:MULTIPLIER[:RESET_AFTER_MS[:ATTEMPTS]]]',
  'failure-rate:FAILURES:INTERVAL_MS:DELAY_MS',
]

/** `fixed-delay:3:1000` and its kind as a {@link RestartStrategy}. */
export function restartStrategy(text: string): RestartStrategy {
  const [kind, ...fields] = text.split(':')
  const numbers = fields.map(Number)
  const [first, second, third, fourth, fifth] = numbers as [number, number, number, number, number]
  const wellFormed = fields.every((field) => /^\d+(\.\d+)?$/.test(field))
  const whole = numbers.every((value, index) => Number.isInteger(value) || (kind === 'exponential-delay' && index === 2))
  if (wellFormed && whole) {
    if (kind === 'none' && fields.length === 0) return { kind }
    if (kind === 'fixed-delay' && fields.length === 2) return { kind, attempts: first, delayMs: second }
    if (kind === 'failure-rate' && fields.length === 3) return { kind, failures: first, intervalMs: second, delayMs: third }
    if (kind === 'exponential-delay' && fields.length >= 2 && fields.length <= 5 && (third ?? 2) >= 1 && first <= second) {
      const strategy = { kind, initialDelayMs: first, maxDelayMs: second, multiplier: third ?? 2, resetAfterMs: fourth ?? 3_600_000 } as const
      return fifth === undefined ? strategy : { ...strategy, attempts: fifth }
    }
  }
  throw new InvalidArgumentError(`Give one of:\n  ${RESTART_FORMS.join('\n  ')}`)
}
