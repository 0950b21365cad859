/** What a key is, as it is stored: keys of two types are never equal. A tuple is an `array`. */
export type KeyType = 'string' | 'number' | 'boolean' | 'bigint' | 'array' | 'object'

/** One type, or several of which a key may be. */
export type KeyTypes = KeyType | readonly KeyType[]

/** All types of keys. */
export const KEY_TYPES: readonly KeyType[] = ['string', 'number', 'boolean', 'bigint', 'array', 'object']

/** Undefined for what cannot be a key whatever it holds. */
export function keyTypeOf(key: unknown): KeyType | undefined {
  if (Array.isArray(key)) return 'array'
  const type = typeof key
  return key !== null && KEY_TYPES.includes(type as KeyType) ? (type as KeyType) : undefined
}
