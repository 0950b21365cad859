/**
 * Turns values of one type into bytes and back. `id` and `version` are written beside the bytes, so that a restore
 * can tell a changed serialiser. State and exchanges without a declared Serde use the structural default, which keeps
 * plain objects, arrays, strings, numbers, booleans, null, undefined, bigint, Date, Map, Set and typed arrays.
 */
export interface Serde<T> {
  readonly id: string
  readonly version: number
  encode(value: T): Uint8Array
  /** Throws when the bytes are not what `encode` wrote in `version`. */
  decode(bytes: Uint8Array, version: number): T
}
