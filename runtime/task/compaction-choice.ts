/** Neighbours of a list, from the first to the one before `to`. */
export interface Run {
  readonly from: number
  readonly to: number
}

/** A neighbour that is larger than all newer ones together by more than this is left alone. */
const LARGEST_RATIO = 2

/**
 * Which of a base's segments, by their bytes and the oldest first, are to be merged into one; undefined when there are no more than `most`.
 *
 * From the newest on, older neighbours are taken in as long as they are not much larger than what was taken. So whenever bytes are written
 * again they come to stand in a segment half as large again at least, and a base of n segments' worth of changes costs some n log n.
 */
export function chooseCompaction(sizes: readonly number[], most: number): Run | undefined {
  if (sizes.length <= most) return undefined
  let from = sizes.length - 1
  let taken = sizes[from]
  while (from > 0 && (from === sizes.length - 1 || sizes[from - 1] <= LARGEST_RATIO * taken)) {
    from--
    taken += sizes[from]
  }
  return { from, to: sizes.length }
}
