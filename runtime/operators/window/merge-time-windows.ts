import type { TimeWindow } from '../../core/index.js'
import { inJavaHashSetOrder } from './java-hash-set-order.js'
import type { MergeWindowsCallback } from './window-assigner.js'

/**
 * Groups windows that overlap or touch, and calls back for each group of two or more (Flink's TimeWindow.mergeWindows).
 * Equal windows count as one. The group is in the order in which Flink goes through it: which state window survives a
 * merge, and in what order the others' elements are appended to it, depends on that.
 */
export function mergeTimeWindows(windows: readonly TimeWindow[], callback: MergeWindowsCallback<TimeWindow>): void {
  if (windows.length < 2) return
  const sorted = [...windows].sort((a, b) => a.start - b.start)
  let cover = sorted[0]
  let group = [cover]
  for (let i = 1; i < sorted.length; i++) {
    const next = sorted[i]
    if (cover.intersects(next)) {
      cover = cover.cover(next)
      if (!group.some((member) => isSame(member, next))) group.push(next)
    } else {
      emit(group, cover, callback)
      cover = next
      group = [next]
    }
  }
  emit(group, cover, callback)
}

function emit(group: TimeWindow[], cover: TimeWindow, callback: MergeWindowsCallback<TimeWindow>): void {
  if (group.length < 2) return
  // One of two is the new window, which has no state yet: with nothing to choose, the order is not worth computing.
  callback(group.length === 2 ? group : inJavaHashSetOrder(group), cover)
}

function isSame(a: TimeWindow, b: TimeWindow): boolean {
  return a.start === b.start && a.end === b.end
}
