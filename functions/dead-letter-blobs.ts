import type { BlobStore } from '../runtime/ports/index.js'
import type { DeadLetter, DeadLetters } from '../runtime/task/stage-ports.js'

/** Dead letters as JSON objects, one a letter, under its id. Bytes are base64, whole numbers beyond 2^53 decimal text. */
export class DeadLetterBlobs implements DeadLetters {
  constructor(readonly blobs: BlobStore) {}

  async write(id: string, letter: DeadLetter): Promise<void> {
    // `exists`: it has been written before.
    await this.blobs.put(`${id}.json`, new TextEncoder().encode(JSON.stringify(letter, plain)))
  }
}

function plain(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Map || value instanceof Set) return [...value]
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  return value
}
