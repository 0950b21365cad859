/** Bytes of a blob: from `from`, up to but not including `to`. */
export interface ByteRange {
  readonly from: number
  readonly to: number
}

/** Immutable named byte blobs: files embedded, S3 on AWS. */
export interface BlobStore {
  /** Stores `bytes` under `name` (segments separated by `/`). A name is never written twice; `exists` says it was. */
  put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'>
  /** undefined when there is no such blob. */
  get(name: string): Promise<Uint8Array | undefined>
  /** Some of its bytes, fewer where it ends before `to`; undefined when there is no such blob. `from` must lie within it, and before `to`. */
  getRange(name: string, range: ByteRange): Promise<Uint8Array | undefined>
  /** Names with the prefix, sorted. */
  list(prefix: string): Promise<string[]>
  /** No error when it does not exist. */
  delete(name: string): Promise<void>
}
