import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseCompaction as choose, type Run, tooLarge } from '../../runtime/task/compaction-choice.js'

function chooseCompaction(sizes: readonly number[], mostSegments: number, compactionBytes = Number.POSITIVE_INFINITY): Run | undefined {
  return choose(sizes, { mostSegments, compactionBytes })
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((all, one) => all + one, 0)
}

/** Flushes segments of these sizes one after the other; compacts whenever it is due. Nothing is written twice, so a merge is as large as its parts. */
function flush(
  sizes: readonly number[],
  most: number,
  compactionBytes?: number,
): { readonly written: number; readonly longest: number; readonly left: readonly number[] } {
  let list: number[] = []
  let written = 0
  let longest = 0
  for (const size of sizes) {
    list.push(size)
    written += size
    for (let run = chooseCompaction(list, most, compactionBytes); run !== undefined; run = chooseCompaction(list, most, compactionBytes)) {
      const merged = sum(list.slice(run.from, run.to))
      written += merged
      list = [...list.slice(0, run.from), merged, ...list.slice(run.to)]
    }
    longest = Math.max(longest, list.length)
  }
  return { written, longest, left: list }
}

describe('chooseCompaction', () => {
  it('leaves a base alone that has no more segments than it may', () => {
    expect(chooseCompaction([], 8)).toBeUndefined()
    expect(chooseCompaction([5, 5, 5], 3)).toBeUndefined()
  })

  it('takes neighbours of like sizes from the newest on, and no much larger one', () => {
    expect(chooseCompaction([1000, 9, 5, 4], 3)).toEqual({ from: 1, to: 4 })
    expect(chooseCompaction([1000, 100, 10, 1], 3)).toEqual({ from: 2, to: 4 })
  })

  it('never leaves more segments than it may, and always at least merges two', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1_000_000 }), { maxLength: 60, size: 'max' }), fc.integer({ min: 1, max: 9 }), (sizes, most) => {
        const { longest, left } = flush(sizes, most)
        expect(longest).toBeLessThanOrEqual(most)
        expect(sum(left)).toBe(sum(sizes))
      }),
    )
  })

  it.each([100, 1_000, 10_000])('writes %s segments of one size some log n times', (n) => {
    const { written } = flush(
      Array.from({ length: n }, () => 1),
      8,
    )
    expect(written / n).toBeLessThan(1.5 * Math.log2(n))
    expect(written / n).toBeGreaterThan(1)
  })

  it('merges no more than fits, but always two, until no more are left than may be of those that could be merged', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 3_000 }))
    fc.assert(
      fc.property(
        fc.array(size, { maxLength: 80, size: 'max' }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4_000 }),
        (sizes, most, limit) => {
          let list = sizes
          for (let run = chooseCompaction(list, most, limit); run !== undefined; run = chooseCompaction(list, most, limit)) {
            const { from, to } = run
            expect(to - from).toBeGreaterThanOrEqual(2)
            expect(sum(list.slice(from, to))).toBeLessThanOrEqual(limit)
            list = [...list.slice(0, from), sum(list.slice(from, to)), ...list.slice(to)]
          }
          expect(sum(list)).toBe(sum(sizes))
          const large = tooLarge(list, { mostSegments: most, compactionBytes: limit })
          // Between two that are too large one may stand alone.
          expect(list.length).toBeLessThanOrEqual(2 * large + 1 + most)
        },
      ),
    )
  })

  it('takes after a rescale as many of many alike as fit, and leaves those that are large already', () => {
    const alike = Array.from({ length: 64 }, () => 10)
    expect(chooseCompaction(alike, 8, 45)).toEqual({ from: 60, to: 64 })
    expect(chooseCompaction([...alike.slice(0, 60), 40], 8, 45)).toEqual({ from: 56, to: 60 })
    expect(chooseCompaction([40, 10, 40, 10, 40, 10], 2, 45)).toBeUndefined()
  })

  it('writes what comes after segments that are too large as seldom as without them', () => {
    const large = [1_000, 1_000, 1_000, 600, 1_000]
    const ones = Array.from({ length: 400 }, () => 1)
    const { written, left } = flush([...large, ...ones], 8, 1_000)
    expect(written - sum(large)).toBe(flush(ones, 8).written)
    expect(left.slice(0, large.length)).toEqual(large)
  })
})
