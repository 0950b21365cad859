/** Raw deflate (RFC 1951); the rooms that are pure get it from outside. */
export interface Compression {
  deflate(bytes: Uint8Array): Uint8Array
  /** Throws for bytes that are not deflated, and for more than `limit` bytes of result. */
  inflate(bytes: Uint8Array, limit: number): Uint8Array
}
