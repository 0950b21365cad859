import { createHash } from 'node:crypto'

const DIGITS = 8

/**
 * Names what the job's functions and its graph are made of: the first 8 hexadecimal digits of a SHA-256. Nothing changed, the same revision.
 * Tokens in `parts` must have been resolved.
 */
export function revisionOf(parts: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(parts)))
    .digest('hex')
    .slice(0, DIGITS)
}

/** The order of properties says nothing. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  )
}
