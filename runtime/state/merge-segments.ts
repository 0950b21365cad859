import type { KeyGroupRange } from './key-groups.js'
import { MergedRows, MergedStates } from './merged-rows.js'
import { Groups } from './row-groups.js'
import { type DecodedSegment, encodeSegment, type SegmentHeader } from './segment.js'

/**
 * One segment that says what `segments` say one after the other, oldest first, of the key groups of `range`; undefined when that is nothing.
 * `bottom`: nothing older is behind them, so that the result stands alone. A key group after the other is held decoded.
 */
export function mergeSegments(segments: readonly DecodedSegment[], range: KeyGroupRange, bottom: boolean): Uint8Array | undefined {
  if (segments.length === 0) return undefined
  const { maxParallelism } = segments[0].header
  const groups = new Groups(maxParallelism)
  const states = new MergedStates(groups)
  for (const keyGroup of keyGroupsOf(segments.map(({ header }) => header))) {
    if (keyGroup < range.first || keyGroup > range.last) continue
    // By name: a state's rows may have been written with several versions of its serde.
    const byName = new Map<string, MergedRows>()
    for (const segment of segments) {
      for (const { block } of segment.blocks(keyGroup, keyGroup)) {
        const info = segment.header.states[block.state]
        let rows = byName.get(info.name)
        if (rows === undefined) {
          rows = new MergedRows(bottom)
          byName.set(info.name, rows)
        }
        rows.apply(block, info)
      }
    }
    for (const rows of byName.values()) rows.each(states)
  }
  if (groups.rows === 0) return undefined
  return encodeSegment({ kind: bottom ? 'base' : 'delta', maxParallelism, states: states.states, rows: groups.rows }, groups.blocks)
}

function keyGroupsOf(headers: readonly SegmentHeader[]): readonly number[] {
  const all = new Set(headers.flatMap(({ groups }) => groups.map(([keyGroup]) => keyGroup)))
  return [...all].sort((a, b) => a - b)
}
