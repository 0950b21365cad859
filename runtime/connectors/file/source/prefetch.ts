import type { ByteStream } from './byte-stream.js'

const CHUNKS_AHEAD = 2

/** Reads a stream ahead of its consumer, who takes what has arrived without waiting. */
export class Prefetch {
  readonly #stream: ByteStream
  readonly #onProgress: () => void
  readonly #chunks: Buffer[] = []
  #ended = false
  #failure: { readonly thrown: unknown } | undefined
  #reading: Promise<void> | undefined
  #closed = false

  /** @param onProgress called after every chunk, at the end, and at a failure */
  constructor(stream: ByteStream, onProgress: () => void) {
    this.#stream = stream
    this.#onProgress = onProgress
    this.#fill()
  }

  /** The next chunk; `end` when there is none; undefined when it has not arrived. Throws when reading failed. */
  take(): Buffer | 'end' | undefined {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      this.#fill()
      return chunk
    }
    if (this.#failure !== undefined) throw this.#failure.thrown
    return this.#ended ? 'end' : undefined
  }

  /** Waits for a read on its way before closing the file under it. */
  async close(): Promise<void> {
    this.#closed = true
    // A stream that waits for a file to grow only ends its wait when it is closed.
    await this.#stream.close()
    await this.#reading
    // A read on its way may have opened the file only now.
    await this.#stream.close()
  }

  #fill(): void {
    if (this.#reading !== undefined || this.#ended || this.#closed || this.#chunks.length >= CHUNKS_AHEAD) return
    this.#reading = this.#readOne().finally(() => {
      this.#reading = undefined
      this.#fill()
      this.#onProgress()
    })
  }

  async #readOne(): Promise<void> {
    try {
      const chunk = await this.#stream.next()
      if (chunk === undefined) this.#ended = true
      else this.#chunks.push(chunk)
    } catch (error) {
      // A read that fails because the file is being closed concerns nobody.
      if (!this.#closed) this.#failure = { thrown: error }
      this.#ended = true
    }
  }
}
