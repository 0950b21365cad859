import type { BlobStore, ByteRange } from '../../ports/index.js'

/** Blobs in memory. Bytes are copied in and out, as a real store would. */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<string, Uint8Array>()

  async put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    if (this.#blobs.has(name)) return 'exists'
    this.#blobs.set(name, bytes.slice())
    return 'stored'
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return this.#blobs.get(name)?.slice()
  }

  async getRange(name: string, { from, to }: ByteRange): Promise<Uint8Array | undefined> {
    return this.#blobs.get(name)?.slice(from, to)
  }

  async list(prefix: string): Promise<string[]> {
    return [...this.#blobs.keys()].filter((name) => name.startsWith(prefix)).sort()
  }

  async delete(name: string): Promise<void> {
    this.#blobs.delete(name)
  }
}
