/** How the cases write integers: Long.MIN and MAX by name, others beyond 2^53 as decimal text. */
export type JsonNumber = number | string

export function numberOf(json: JsonNumber): number {
  if (json === 'MIN') return Number.NEGATIVE_INFINITY
  if (json === 'MAX') return Number.POSITIVE_INFINITY
  return Number(json)
}

export function jsonNumber(value: number): JsonNumber {
  if (value === Number.NEGATIVE_INFINITY) return 'MIN'
  if (value === Number.POSITIVE_INFINITY) return 'MAX'
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return BigInt(value).toString()
  return value === 0 ? 0 : value
}

/** A result with its integers written as the cases write them. */
export function jsonValue(value: unknown): unknown {
  if (typeof value === 'number') return jsonNumber(value)
  if (Array.isArray(value)) return value.map(jsonValue)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, jsonValue(field)]))
}
