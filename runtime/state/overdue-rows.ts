import type { KeyGroupRange } from './key-groups.js'
import type { InternalKey } from './keys.js'
import type { DecodedSegment } from './segment.js'
import type { SegmentWriterOptions } from './segment-writer.js'
import { decodeTimeBlock, dueRow } from './time-blocks.js'
import { dueTimeOf, PROCESSING_TIMERS } from './timed-rows.js'

/**
 * Which rows of a merge are overdue: due already when they were written, so that nobody asks for their time any more. Those that one of `segments`
 * names so, and of what has no index by time (commits, snapshots of one process) what was due at `sweptTo`.
 */
export function overdueIn(segments: readonly DecodedSegment[], range: KeyGroupRange, sweptTo: number): SegmentWriterOptions['isOverdue'] {
  const named = new Set<string>()
  for (const { times = [] } of segments) {
    for (const { index, read } of times) {
      if (index.overdue.to === index.overdue.from) continue
      for (const { id, time } of decodeTimeBlock(read(index.overdue), 'a time index')) named.add(idOf(index.state, time, id))
    }
  }
  let unindexed: Set<string> | undefined
  return (state, key, namespace, time) => {
    if (state === PROCESSING_TIMERS) return false
    if (time > sweptTo && named.size === 0) return false
    const id = idOf(state, time, dueRow(time, key, namespace, false, segments[0].header.maxParallelism).id)
    if (named.has(id)) return true
    if (time > sweptTo) return false
    unindexed ??= dueRowsWithoutIndex(segments, range, sweptTo)
    return unindexed.has(id)
  }
}

function dueRowsWithoutIndex(segments: readonly DecodedSegment[], { first, last }: KeyGroupRange, sweptTo: number): Set<string> {
  const due = new Set<string>()
  for (const { header, times, blocks } of segments) {
    if (times !== undefined) continue
    for (const { block } of blocks(first, last)) {
      const { name } = header.states[block.state]
      block.keys.forEach((key, i) => {
        const time = dueTimeOf(name, block.namespaces[i])
        if (time === undefined || time > sweptTo) return
        due.add(idOf(name, time, dueRow(time, key as InternalKey, block.namespaces[i], false, header.maxParallelism).id))
      })
    }
  }
  return due
}

function idOf(state: string, time: number, id: string): string {
  return `${state} ${time} ${id}`
}
