/** Names of the states that hold the timers of an operator. */
export const EVENT_TIMERS = '(event timers)'
export const PROCESSING_TIMERS = '(processing timers)'
/** Contents of windows that have no timers of their own: they fire at their ends. */
export const IMPLIED_TIMERS_TABLE = 'window-contents (timers implied)'

/**
 * When a row of one of these states is due, by its namespace as data; undefined for rows of other states. Of a window that is no time window nobody knows: it
 * counts as due at any time.
 */
export function dueTimeOf(state: string, namespace: unknown): number | undefined {
  if (state === EVENT_TIMERS || state === PROCESSING_TIMERS) return (namespace as readonly [number, unknown])[0]
  if (state !== IMPLIED_TIMERS_TABLE) return undefined
  if (Array.isArray(namespace) && namespace.length === 2 && typeof namespace[1] === 'number') return namespace[1] - 1
  return Number.NEGATIVE_INFINITY
}
