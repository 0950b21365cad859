/** Work on the output folder that goes on while the first records arrive. */
export class Preparation {
  /** Rejects with the failure, if any. */
  readonly done: Promise<void>
  #ready = false
  #failure: { readonly thrown: unknown } | undefined

  constructor(work: () => Promise<void>) {
    this.done = work().then(
      () => {
        this.#ready = true
      },
      (thrown) => {
        this.#failure = { thrown }
        throw thrown
      },
    )
    // The writer meets the failure at its next call; it may make none.
    this.done.catch(() => {})
  }

  /** Whether the folder may be used. Throws when the work failed. */
  get ready(): boolean {
    if (this.#failure !== undefined) throw this.#failure.thrown
    return this.#ready
  }
}
