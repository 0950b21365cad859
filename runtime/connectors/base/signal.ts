/** Wakes the one who waits for a reader's next record. A wake before the wait is not lost. */
export class Signal {
  #set = false
  #error: { readonly thrown: unknown } | undefined
  #promise: Promise<void> | undefined
  #resolve: () => void = () => {}
  #reject: (error: unknown) => void = () => {}

  /** Something may be there now. */
  wake(): void {
    if (this.#promise === undefined) this.#set = true
    this.#promise = undefined
    this.#resolve()
  }

  /** Every wait and check from now on fails with `thrown`. */
  fail(thrown: unknown): void {
    this.#error ??= { thrown }
    this.#promise = undefined
    this.#reject(this.#error.thrown)
  }

  /** Throws what {@link fail} was told. Call it at the start of a poll: it also forgets earlier wakes, as the poll sees what they announced. */
  check(): void {
    if (this.#error !== undefined) throw this.#error.thrown
    this.#set = false
  }

  /** Resolves at the next wake, or at once when one came since the last {@link check}. */
  wait(): Promise<void> {
    if (this.#error !== undefined) return Promise.reject(this.#error.thrown)
    if (this.#set) {
      this.#set = false
      return Promise.resolve()
    }
    this.#promise ??= new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    return this.#promise
  }
}
