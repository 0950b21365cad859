/** A value as one line of text: texts as they are, objects as JSON (maps as arrays of entries, sets as arrays, bigints as texts). */
export function printedForm(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return JSON.stringify(value, plainOf) ?? String(value)
}

function plainOf(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Set) return [...value]
  if (value instanceof Map) return [...value]
  return value
}
