import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WholeSecondWatermarks } from '../../examples/ip-count/whole-second-watermarks.js'

/** The watermarks that a sequence of timestamps makes, as after each of them. */
function watermarksAfter(timestamps: readonly number[]): number[] {
  const generator = new WholeSecondWatermarks(1_000)
  let watermark = Number.NEGATIVE_INFINITY
  const output = { emitWatermark: (t: number) => (watermark = Math.max(watermark, t)), markIdle() {}, markActive() {} }
  return timestamps.map((t) => {
    generator.onEvent(undefined, t, output)
    return watermark
  })
}

describe('WholeSecondWatermarks', () => {
  it('for windows that end on whole seconds is the same as a watermark after each line', () => {
    const timestamps = fc.array(
      fc.oneof(
        fc.integer({ min: -20_000, max: 20_000 }),
        fc.integer({ min: -20, max: 20 }).map((s) => s * 1_000),
      ),
    )
    fc.assert(
      fc.property(timestamps, (times) => {
        let max = Number.NEGATIVE_INFINITY
        watermarksAfter(times).forEach((watermark, i) => {
          max = Math.max(max, times[i])
          expect(watermark).toBeLessThanOrEqual(max - 1_001)
          // The number of whole seconds that are over.
          expect(Math.floor((watermark + 1) / 1_000)).toBe(Math.floor((max - 1_000) / 1_000))
        })
      }),
    )
  })

  it('speaks once a second', () => {
    let spoken = 0
    const generator = new WholeSecondWatermarks(1_000)
    for (let t = 0; t < 10_000; t++) generator.onEvent(undefined, t, { emitWatermark: () => spoken++, markIdle() {}, markActive() {} })
    expect(spoken).toBe(10)
  })
})
