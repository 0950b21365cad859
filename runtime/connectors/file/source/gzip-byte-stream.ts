import { Readable } from 'node:stream'
import { createGunzip, type Gunzip } from 'node:zlib'
import { MillraceError } from '../../../core/index.js'
import type { ByteStream } from './byte-stream.js'

/** What is in a gzip file (one member or several), from the decompressed byte `skip` on: the bytes before it are decompressed and dropped. */
export class GzipByteStream implements ByteStream {
  readonly #compressed: ByteStream
  readonly #path: string
  readonly #gunzip: Gunzip
  readonly #chunks: AsyncIterator<Buffer>
  #skip: number

  constructor(compressed: ByteStream, path: string, skip: number, chunkBytes: number) {
    this.#compressed = compressed
    this.#path = path
    this.#skip = skip
    this.#gunzip = createGunzip({ chunkSize: chunkBytes })
    const input = Readable.from(chunksOf(compressed), { objectMode: false, highWaterMark: chunkBytes })
    input.on('error', (error) => this.#gunzip.destroy(error))
    // Taken before any data flows, so that no error goes unheard.
    this.#chunks = input.pipe(this.#gunzip)[Symbol.asyncIterator]()
  }

  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const chunk = await this.#decompress()
      if (chunk === undefined && this.#skip > 0) throw this.#damaged(`it ends ${this.#skip} bytes before the position that was read before`)
      if (chunk === undefined) return undefined
      const skipped = Math.min(this.#skip, chunk.length)
      this.#skip -= skipped
      if (skipped < chunk.length) return chunk.subarray(skipped)
    }
  }

  async close(): Promise<void> {
    this.#gunzip.on('error', () => {})
    this.#gunzip.destroy()
    await this.#compressed.close()
  }

  async #decompress(): Promise<Buffer | undefined> {
    try {
      const result = await this.#chunks.next()
      return result.done === true ? undefined : result.value
    } catch (error) {
      if (error instanceof MillraceError) throw error
      throw this.#damaged('it cannot be decompressed', error)
    }
  }

  #damaged(what: string, cause?: unknown): MillraceError {
    const todo = 'Check the file with gzip -t; it may still be being written, or was cut off.'
    return new MillraceError('SOURCE_FAILED', { what: `the gzip file is damaged: ${what}`, where: this.#path, todo, cause })
  }
}

async function* chunksOf(stream: ByteStream): AsyncGenerator<Buffer> {
  for (let chunk = await stream.next(); chunk !== undefined; chunk = await stream.next()) yield chunk
}
