import { MillraceError } from '../runtime/core/index.js'

/**
 * An error as the command line shows it: the message of a MillraceError, which says what, where and what to do. Anything
 * else was not foreseen and keeps its stack. `verbose` adds stack traces of the error and its causes.
 */
export function formatError(thrown: unknown, verbose: boolean): string {
  if (!isMillraceError(thrown)) return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  if (!verbose) return thrown.message
  const stacks = [thrown.stack ?? thrown.message]
  for (let cause = thrown.cause; cause instanceof Error; cause = cause.cause) stacks.push(`caused by: ${cause.stack ?? cause.message}`)
  return stacks.join('\n')
}

/** By name as well as by class: the job may bring its own copy of Millrace. */
export function isMillraceError(thrown: unknown): thrown is MillraceError {
  return thrown instanceof MillraceError || (thrown instanceof Error && thrown.name === 'MillraceError' && 'code' in thrown)
}
