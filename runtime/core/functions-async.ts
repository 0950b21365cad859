import { MillraceError } from './errors.js'
import { AbstractRichFunction, type RichFunction } from './functions.js'

/** Takes what one asynchronous call came to (Flink's ResultFuture). The first call of either method counts. */
export interface ResultFuture<Out> {
  /** Any number of results. */
  complete(results: readonly Out[]): void
  /** Fails the job, unless the retry strategy tries again. */
  completeExceptionally(error: unknown): void
}

/** What an asynchronous function may return instead of using its ResultFuture: one result, an array of results, or undefined for none. */
export type AsyncReturn<Out> = void | Promise<void> | Promise<readonly Out[] | Out>

/**
 * Calls something outside for each element without holding up the others (Flink's AsyncFunction).
 *
 * A method with one parameter gives its results by its promise; a method that takes the `resultFuture` too completes that, now or later, from any
 * callback. What it throws, and a promise that rejects, completes the call exceptionally. Calls that were pending at a checkpoint are made again
 * after a restore, so the outside system must bear a call twice.
 *
 * @example
 * AsyncDataStream.unorderedWait(orders, {
 *   async asyncInvoke(order: Order) {
 *     const response = await fetch(`http://customers/${order.customer}`)
 *     return { ...order, customer: await response.json() }
 *   },
 *   // An order whose customer is not known in time is left out.
 *   timeout: (_order: Order, future: ResultFuture<Enriched>) => future.complete([]),
 * }, { timeoutMs: 5_000, capacity: 100 })
 */
export interface AsyncFunction<In, Out> extends RichFunction {
  asyncInvoke(value: In, resultFuture: ResultFuture<Out>): AsyncReturn<Out>
  /** The call took longer than the time-out; by default that fails the job. Whichever result comes first still counts. */
  timeout?(value: In, resultFuture: ResultFuture<Out>): AsyncReturn<Out>
}

/** An {@link AsyncFunction} as a class with open, close and the runtime context. */
export abstract class RichAsyncFunction<In, Out> extends AbstractRichFunction implements AsyncFunction<In, Out> {
  abstract asyncInvoke(value: In, resultFuture: ResultFuture<Out>): AsyncReturn<Out>
}

/** Which outcomes of a call are tried again (Flink's AsyncRetryPredicate). At least one of the two. */
export interface RetryPredicates<Out> {
  readonly ifResult?: (results: readonly Out[]) => boolean
  readonly ifException?: (error: unknown) => boolean
}

/** When an asynchronous call is made again (Flink's AsyncRetryStrategy). The time-out counts over all tries. */
export interface AsyncRetryStrategy<Out> extends RetryPredicates<Out> {
  /** Tries after the first. */
  readonly maxAttempts: number
  /** Milliseconds to wait before try number `attempt` after the first, from 1. */
  backoffMs(attempt: number): number
}

/** The call gave no results. */
export const ifEmptyResult = (results: readonly unknown[]): boolean => results.length === 0
/** The call failed, whatever with. */
export const ifAnyException = (): boolean => true

/**
 * How often and after what pause an asynchronous call is made again (Flink's AsyncRetryStrategies). The default is not to.
 *
 * @example
 * const options = { timeoutMs: 10_000, capacity: 50, retry: AsyncRetryStrategies.fixedDelay({ maxAttempts: 3, delayMs: 100, ifException: ifAnyException }) }
 */
export const AsyncRetryStrategies = {
  /** Throws OPTION_INVALID. */
  fixedDelay<Out>(options: { readonly maxAttempts: number; readonly delayMs: number } & RetryPredicates<Out>): AsyncRetryStrategy<Out> {
    const { maxAttempts, delayMs } = options
    checkRetry(options, { maxAttempts, delayMs })
    return { ...predicates(options), maxAttempts, backoffMs: () => delayMs }
  },

  /** The delay grows by `multiplier` (2 by default) from `initialDelayMs` to at most `maxDelayMs`. Throws OPTION_INVALID. */
  exponentialBackoff<Out>(
    options: {
      readonly maxAttempts: number
      readonly initialDelayMs: number
      readonly maxDelayMs: number
      readonly multiplier?: number
    } & RetryPredicates<Out>,
  ): AsyncRetryStrategy<Out> {
    const { maxAttempts, initialDelayMs, maxDelayMs, multiplier = 2 } = options
    checkRetry(options, { maxAttempts, initialDelayMs, maxDelayMs, multiplier })
    return { ...predicates(options), maxAttempts, backoffMs: (attempt) => Math.min(initialDelayMs * multiplier ** (attempt - 1), maxDelayMs) }
  },
}

function predicates<Out>({ ifResult, ifException }: RetryPredicates<Out>): RetryPredicates<Out> {
  return { ...(ifResult && { ifResult }), ...(ifException && { ifException }) }
}

function checkRetry(given: RetryPredicates<never>, numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (value > 0 && (name === 'multiplier' ? Number.isFinite(value) : Number.isSafeInteger(value))) continue
    throw new MillraceError('OPTION_INVALID', {
      what: `option ${name} of a retry strategy is ${String(value)}`,
      todo: `Give a ${name === 'multiplier' ? 'number' : 'whole number'} above 0.`,
    })
  }
  if (given.ifResult === undefined && given.ifException === undefined) {
    throw new MillraceError('OPTION_INVALID', {
      what: 'a retry strategy has neither ifResult nor ifException, so nothing would be tried again',
      todo: 'Say what is to be tried again, for instance ifException: ifAnyException or ifResult: ifEmptyResult.',
    })
  }
}
