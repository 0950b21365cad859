/**
 * A value of state as JSON can hold it: bytes as base64, whole numbers of any size and infinite ones as text, dates as text, maps as pairs, sets
 * as lists.
 */
export function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  if (Array.isArray(value)) return value.map(plainValue)
  if (value instanceof Set) return [...value].map(plainValue)
  if (value instanceof Map) return [...value].map(([key, entry]) => [plainValue(key), plainValue(entry)])
  if (ArrayBuffer.isView(value)) return [...(value as unknown as Iterable<unknown>)].map(plainValue)
  return Object.fromEntries(Object.entries(value).map(([field, entry]) => [field, plainValue(entry)]))
}
