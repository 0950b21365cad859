import type { AsyncFunction, ResultFuture } from '../../runtime/index.js'
import type { Ev } from '../element.js'

/** Calls that wait for a `complete` step, by the element's label. */
export type PendingCalls = Map<string, ResultFuture<unknown>>

/** The label `now` completes at once, any other waits for its step; a time-out is a result. */
export function asyncFunction(calls: PendingCalls): AsyncFunction<Ev, unknown> {
  return {
    asyncInvoke({ k, v, t }, future) {
      if (t === 'now') future.complete([{ k, v, now: true }])
      else calls.set(t, future)
    },
    timeout({ k, v }, future) {
      future.complete([{ k, v, timeout: true }])
    },
  }
}
