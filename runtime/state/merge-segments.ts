import type { KeyGroupRange } from './key-groups.js'
import { MergedRows, rowsByState } from './merged-rows.js'
import { overdueIn } from './overdue-rows.js'
import type { DecodedSegment, SegmentHeader } from './segment.js'
import { DEFAULT_BLOCK_BYTES, SegmentWriter } from './segment-writer.js'

export interface MergeOptions {
  /** Nothing older is behind the segments, so that the result stands alone. */
  readonly bottom: boolean
  /** How far event time had come for the operator when the newest of them was written: all timers up to there have fired, but for those that came late. */
  readonly sweptTo: number
  /** Bytes of a block, about. */
  readonly blockBytes?: number
}

/**
 * One segment that says what `segments` say one after the other, oldest first, of the key groups of `range`; undefined when that is nothing. A key
 * group after the other is held decoded.
 */
export function mergeSegments(
  segments: readonly DecodedSegment[],
  range: KeyGroupRange,
  { bottom, sweptTo, blockBytes = DEFAULT_BLOCK_BYTES }: MergeOptions,
): Uint8Array | undefined {
  if (segments.length === 0) return undefined
  const { maxParallelism } = segments[0].header
  const writer = new SegmentWriter({ maxParallelism, blockBytes, isOverdue: overdueIn(segments, range, sweptTo) })
  for (const keyGroup of keyGroupsOf(segments.map(({ header }) => header))) {
    if (keyGroup < range.first || keyGroup > range.last) continue
    const states = rowsByState(segments, { first: keyGroup, last: keyGroup }, () => new MergedRows(bottom))
    for (const rows of states.values()) rows.each(writer)
    writer.endGroup(keyGroup)
  }
  return writer.finish(bottom ? 'base' : 'delta')
}

function keyGroupsOf(headers: readonly SegmentHeader[]): readonly number[] {
  const all = new Set(headers.flatMap(({ groups }) => groups.map(([keyGroup]) => keyGroup)))
  return [...all].sort((a, b) => a - b)
}
