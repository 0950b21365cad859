import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { Compression } from '../../ports/index.js'

/** Raw deflate by Node's zlib. */
export class ZlibCompression implements Compression {
  readonly #level: number

  /** `level` 1 (fast) to 9 (small); by default 1: small records of one shape become hardly smaller at 6 and take several times as long. */
  constructor(level = 1) {
    this.#level = level
  }

  deflate(bytes: Uint8Array): Uint8Array {
    return deflateRawSync(bytes, { level: this.#level })
  }

  inflate(bytes: Uint8Array, limit: number): Uint8Array {
    return inflateRawSync(bytes, { maxOutputLength: Math.max(1, limit) })
  }
}
