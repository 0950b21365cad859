/** How much a sink gathers behind what is on its way. An entry counts as a KiB at least: ten thousand small ones, as in Flink's AsyncSinkWriter. */
const MOST_BYTES = 10_000 * 1024
const LEAST_ENTRY_BYTES = 1024

/**
 * Sends entries in portions, one behind the other: what comes while one is on its way makes up the next. Who adds asks {@link SendQueue.ready}
 * between batches; then hardly more than two portions of {@link MOST_BYTES} are ever held.
 */
export class SendQueue<Entry> {
  #gathered: Entry[] = []
  #bytes = 0
  /** Of the portion that is on its way, and of the gathered one. They never reject. */
  #sending: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #failure: { readonly thrown: unknown } | undefined

  constructor(readonly send: (portion: readonly Entry[]) => Promise<void>) {}

  /** Throws what an earlier portion failed with. */
  add(entry: Entry, bytes: number): void {
    this.#tell()
    this.#gathered.push(entry)
    this.#bytes += Math.max(bytes, LEAST_ENTRY_BYTES)
    // Not at once: what is added in the same turn goes together.
    this.#next ??= this.#sending.then(() => this.#sendGathered())
  }

  async #sendGathered(): Promise<void> {
    const portion = this.#gathered
    this.#sending = this.#next as Promise<void>
    this.#next = undefined
    this.#clear()
    if (this.#failure !== undefined) return
    try {
      await this.send(portion)
    } catch (thrown) {
      this.#failure = { thrown }
    }
  }

  /** Undefined while there is room; else resolves when the portion on its way has been taken. Throws what an earlier one failed with. */
  ready(): Promise<void> | undefined {
    this.#tell()
    return this.#bytes < MOST_BYTES ? undefined : this.#sending
  }

  /** Resolves when all that was added has been taken; what is added meanwhile need not. Rejects with what a portion failed with. */
  async flush(): Promise<void> {
    await this.settled()
    this.#tell()
  }

  /** As {@link flush}, whatever came of it. */
  settled(): Promise<void> {
    return this.#next ?? this.#sending
  }

  /** Once: on AWS the same writer is given the batch again. */
  #tell(): void {
    if (this.#failure === undefined) return
    const { thrown } = this.#failure
    this.#failure = undefined
    this.#clear()
    throw thrown
  }

  #clear(): void {
    this.#gathered = []
    this.#bytes = 0
  }
}
