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
export class ChangeList<T extends Listed, Note = never> {
  #changed: T[] = []
  /** By place, as far as there are any: which part of an element changed; nothing where all of it did. */
  #notes: (Note | undefined)[] = []
  #tombstones: T[] = []

  get isEmpty(): boolean {
    return this.#changed.length === 0 && this.#tombstones.length === 0
  }

  /** All of it changed. */
  add(element: T): void {
    const { place } = element
    if (place === CLEAN) {
      element.place = this.#changed.length
      this.#changed.push(element)
    } else if (place < this.#notes.length && place >= 0) this.#notes[place] = undefined
  }

  /** Adds an element that is CLEAN, of which only a part changed. */
  addPart(element: T, note: Note): void {
    const place = this.#changed.push(element) - 1
    element.place = place
    while (this.#notes.length < place) this.#notes.push(undefined)
    this.#notes.push(note)
  }

  noteOf({ place }: T): Note | undefined {
    return place >= 0 && place < this.#notes.length ? this.#notes[place] : undefined
  }

  /** Also when nothing is tracked: from here the element is REMOVED. */
  remove(element: T, tracking: boolean): void {
    this.#takeOff(element)
    element.place = REMOVED
    if (tracking && element.persisted) this.#tombstones.push(element)
  }

  /** The element stands in the log as it is: it counts as written. */
  settle(element: T): void {
    this.#takeOff(element)
    element.place = CLEAN
    element.persisted = true
  }

  #takeOff({ place }: T): void {
    if (place < 0) return
    const last = this.#changed.pop() as T
    const note = this.#notes.length > this.#changed.length ? this.#notes.pop() : undefined
    if (last.place === place) return
    this.#changed[place] = last
    last.place = place
    if (place < this.#notes.length) this.#notes[place] = note
  }

  /** Empties the list; its elements count as written from here. `notes` says of the row at the same index which part changed, if not all. */
  take(): { readonly rows: T[]; readonly notes: readonly (Note | undefined)[]; readonly tombstones: T[] } {
    const taken = { rows: this.#changed, notes: this.#notes, tombstones: this.#tombstones }
    this.#changed = []
    this.#notes = []
    this.#tombstones = []
    for (const row of taken.rows) {
      row.place = CLEAN
      row.persisted = true
    }
    return taken
  }
}
