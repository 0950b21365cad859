/** Length of the stretches of event time for which keyed functions keep things apart, ms. */
export const SLOT_MS = 100

/** When the timer of a time's slot fires: not before the slot's last item, as nothing is late. */
export function slotTimer(t: number): number {
  return slotOf(t) * SLOT_MS + SLOT_MS - 1
}

export function slotOf(t: number): number {
  return Math.floor(t / SLOT_MS)
}
