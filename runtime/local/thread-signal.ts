/** A word for each thread, a cache line apart, so that threads do not slow each other. */
const WORDS_APART = 16

/**
 * How a thread that sleeps hears of its peers' messages without a turn of its event loop.
 *
 * I1  Who posts a message rings after it; who sleeps has looked before it polled. So no message waits for the end of a sleep.
 */
export class ThreadSignal {
  readonly #word: number
  #seen = 0

  constructor(
    readonly words: Int32Array,
    readonly thread: number,
  ) {
    this.#word = thread * WORDS_APART
  }

  /** Shared words for so many threads. */
  static words(threads: number): Int32Array {
    return new Int32Array(new SharedArrayBuffer(threads * WORDS_APART * Int32Array.BYTES_PER_ELEMENT))
  }

  /** Something was posted to `thread`. */
  ring(thread: number): void {
    const word = thread * WORDS_APART
    Atomics.add(this.words, word, 1)
    Atomics.notify(this.words, word, 1)
  }

  /** To be called before messages are polled: `sleep` ends at once when somebody has rung since. */
  look(): void {
    this.#seen = Atomics.load(this.words, this.#word)
  }

  /** Blocks the thread for at most `ms`, until somebody rings. */
  sleep(ms: number): void {
    Atomics.wait(this.words, this.#word, this.#seen, ms)
  }
}
