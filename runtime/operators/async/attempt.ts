import type { AsyncReturn, ResultFuture } from '../../core/index.js'

/** What one try of a call came to. */
export type Outcome<Out> = { readonly results: readonly Out[] } | { readonly error: unknown }

/** One try of a call as the function sees it. Its outcome is reported once, from wherever the function's answer comes. */
export class Attempt<Out> implements ResultFuture<Out> {
  #open = true

  constructor(readonly report: (outcome: Outcome<Out>) => void) {}

  complete(results: readonly Out[]): void {
    if (Array.isArray(results)) this.#close({ results })
    else this.#close({ error: new TypeError(`complete() takes an array of results, not ${results === null ? 'null' : typeof results}`) })
  }

  completeExceptionally(error: unknown): void {
    this.#close({ error })
  }

  #close(outcome: Outcome<Out>): void {
    if (!this.#open) return
    this.#open = false
    this.report(outcome)
  }

  /** Calls a method of the function; one that takes a ResultFuture need not return anything. */
  call<In>(invoke: (value: In, future: ResultFuture<Out>) => AsyncReturn<Out>, value: In, takesFuture: boolean): void {
    const settle = (returned: readonly Out[] | Out | undefined) => {
      if (returned !== undefined || !takesFuture) this.complete(listOf(returned))
    }
    try {
      const returned: unknown = invoke(value, this)
      if (isThenable(returned)) {
        returned.then(
          (results) => settle(results as Out),
          (error) => this.completeExceptionally(error),
        )
      } else settle(returned as Out)
    } catch (thrown) {
      this.completeExceptionally(thrown)
    }
  }
}

function listOf<Out>(returned: readonly Out[] | Out | null | undefined): readonly Out[] {
  if (returned === undefined || returned === null) return []
  return Array.isArray(returned) ? returned : [returned as Out]
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { readonly then?: unknown }).then === 'function'
}
