import type { TimeWindow } from '../../core/index.js'

const LOW_64_BITS = (1n << 64n) - 1n
const FIRST_FACTOR = 0xbf58476d1ce4e5b9n
const SECOND_FACTOR = 0x94d049bb133111ebn

/**
 * The order in which a java.util.HashSet iterates over these distinct windows when they were added in the given order.
 * Flink merges windows in this order, so a session's elements come out in the same order as there.
 */
export function inJavaHashSetOrder(windows: readonly TimeWindow[]): TimeWindow[] {
  const mask = tableSize(windows.length) - 1
  return windows
    .map((window) => ({ window, bucket: spread(hashCode(window)) & mask }))
    .sort((a, b) => a.bucket - b.bucket)
    .map(({ window }) => window)
}

/** 16 buckets, doubled whenever more than three quarters of them are taken. */
function tableSize(count: number): number {
  let size = 16
  while (count > size * 0.75) size *= 2
  return size
}

/** java.util.HashMap folds the high half into the low one. */
function spread(hash: number): number {
  return hash ^ (hash >>> 16)
}

/** Flink's TimeWindow.hashCode: start + end through the 64-bit mixer of SplitMix64, cut to 32 bits. */
function hashCode(window: TimeWindow): number {
  let bits = BigInt.asUintN(64, BigInt(Math.floor(window.start + window.end)))
  bits = ((bits ^ (bits >> 30n)) * FIRST_FACTOR) & LOW_64_BITS
  bits = ((bits ^ (bits >> 27n)) * SECOND_FACTOR) & LOW_64_BITS
  bits ^= bits >> 31n
  return Number(BigInt.asIntN(32, bits))
}
