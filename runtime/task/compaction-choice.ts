/** Neighbours of a list, from the first to the one before `to`. */
export interface Run {
  readonly from: number
  readonly to: number
}

export interface CompactionLimits {
  /** Segments that may stand in a base beside those that are too large to be merged. */
  readonly mostSegments: number
  /** What a compaction reads at most: it has all of it in memory. */
  readonly compactionBytes: number
}

/** A neighbour that is larger than all newer ones together by more than this is left alone. */
const LARGEST_RATIO = 2

/**
 * Which of a base's segments, by their bytes and the oldest first, are to be merged into one; undefined when there are no more than may be, of those
 * that could be merged.
 *
 * From the newest on, older neighbours are taken in as long as they are not much larger than what was taken. So whenever bytes are written
 * again they come to stand in a segment half as large again at least, and a base of n segments' worth of changes costs some n log n. A segment of more than half of
 * `compactionBytes` is left for good; any two others fit. Of several stretches between such ones the longest is begun with, or the newer.
 */
export function chooseCompaction(sizes: readonly number[], { mostSegments, compactionBytes }: CompactionLimits): Run | undefined {
  const stretches = stretchesOf(sizes, compactionBytes / 2)
  if (stretches.reduce((sum, { from, to }) => sum + to - from, 0) <= mostSegments) return undefined
  const longest = stretches.reduce((best, stretch) => (stretch.to - stretch.from >= best.to - best.from ? stretch : best))
  const { to } = longest
  let from = to - 1
  let taken = sizes[from]
  while (from > longest.from && taken + sizes[from - 1] <= compactionBytes && (from === to - 1 || sizes[from - 1] <= LARGEST_RATIO * taken)) {
    from--
    taken += sizes[from]
  }
  return { from, to }
}

/** How many segments are left as they are because they are too large. */
export function tooLarge(sizes: readonly number[], { compactionBytes }: CompactionLimits): number {
  return sizes.filter((size) => size > compactionBytes / 2).length
}

/** Two neighbours or more, none of them larger than `largest`. */
function stretchesOf(sizes: readonly number[], largest: number): readonly Run[] {
  const stretches: Run[] = []
  for (let from = 0, to = 0; to <= sizes.length; to++) {
    if (to < sizes.length && sizes[to] <= largest) continue
    if (to - from >= 2) stretches.push({ from, to })
    from = to + 1
  }
  return stretches
}
