/** A line `key,number` of the examples with keyed state. */
export interface KeyedNumber {
  readonly key: string
  readonly value: number
}

/** Throws for a line that is no `key,number`. */
export function parseKeyedNumber(line: string): KeyedNumber {
  const [key, number, ...rest] = line.split(',').map((field) => field.trim())
  const value = Number(number || Number.NaN)
  if (key === '' || Number.isNaN(value) || rest.length > 0) throw new Error(`expected "key,number", got ${JSON.stringify(line)}`)
  return { key, value }
}
