/** Event time of event 0, epoch ms. */
export const FIRST_EVENT_MS = 1_600_000_000_000

/** Event time of event `i`, epoch ms, at `eps` events a second of event time. */
export function eventTime(i: number, eps: number): number {
  return FIRST_EVENT_MS + Math.floor((i * 1000) / eps)
}
