import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseCompaction } from '../../runtime/task/compaction-choice.js'

/** Flushes segments of these sizes one after the other; compacts whenever it is due. Nothing is written twice, so a merge is as large as its parts. */
function flush(sizes: readonly number[], most: number): { readonly written: number; readonly longest: number; readonly left: readonly number[] } {
  let list: number[] = []
  let written = 0
  let longest = 0
  for (const size of sizes) {
    list.push(size)
    written += size
    for (let run = chooseCompaction(list, most); run !== undefined; run = chooseCompaction(list, most)) {
      const merged = list.slice(run.from, run.to).reduce((sum, one) => sum + one, 0)
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
        expect(left.reduce((sum, one) => sum + one, 0)).toBe(sizes.reduce((sum, one) => sum + one, 0))
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
})
