import type { BlobStore } from '../runtime/ports/index.js'
import type { DeadLetter, DeadLetters } from '../runtime/task/stage-ports.js'

/**
 * Dead letters as JSON objects, one a letter, under its id: `<revision>/<stage>/<subtask>/<version>/<index>.json` below the job's. Bytes are
 * base64, whole numbers beyond 2^53 decimal text.
 */
export class DeadLetterBlobs implements DeadLetters {
  constructor(readonly blobs: BlobStore) {}

  async write(id: string, letter: DeadLetter): Promise<void> {
    // `exists`: it has been written before.
    await this.blobs.put(`${id}.json`, new TextEncoder().encode(JSON.stringify(letter, plain)))
  }
}

/** What a Buffer makes of itself for JSON comes here before the Buffer does, so the value is taken from its place. */
function plain(this: unknown, key: string): unknown {
  const value = (this as Readonly<Record<string, unknown>>)[key]
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Map || value instanceof Set) return [...value]
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  return value instanceof Date ? value.toISOString() : value
}
