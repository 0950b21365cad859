/** Not on the list. */
export const CLEAN = -1
/** Gone for good; never on a list again. */
export const REMOVED = -2

/** What a {@link ChangeList} can hold: it keeps its own place, so that it can be taken off at once. */
export interface Listed {
  /** Its index in the list, CLEAN or REMOVED. */
  place: number
  /** Whether some segment holds a row for it, so that a removal must leave a tombstone. */
  persisted: boolean
}

/** What changed since the last snapshot. An element that is removed leaves the list at once, so what came and went in between is not kept alive. */
export class ChangeList<T extends Listed> {
  #changed: T[] = []
  #tombstones: T[] = []

  add(element: T): void {
    if (element.place !== CLEAN) return
    element.place = this.#changed.length
    this.#changed.push(element)
  }

  /** Also when nothing is tracked: from here the element is REMOVED. */
  remove(element: T, tracking: boolean): void {
    const { place } = element
    element.place = REMOVED
    if (place >= 0) {
      const last = this.#changed.pop() as T
      if (last !== element) {
        this.#changed[place] = last
        last.place = place
      }
    }
    if (tracking && element.persisted) this.#tombstones.push(element)
  }

  /** Empties the list; its elements count as written from here. */
  take(): { readonly rows: T[]; readonly tombstones: T[] } {
    const rows = this.#changed
    const tombstones = this.#tombstones
    this.#changed = []
    this.#tombstones = []
    for (const row of rows) {
      row.place = CLEAN
      row.persisted = true
    }
    return { rows, tombstones }
  }
}
