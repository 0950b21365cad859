import fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { GlobalWindow, MAX_WATERMARK, MillraceError, NO_TIMESTAMP, TimeWindow } from '../../runtime/core/index.js'
import {
  EndOfStreamTrigger,
  EventTimeSessionWindows,
  EventTimeTrigger,
  GlobalWindows,
  NeverTrigger,
  ProcessingTimeSessionWindows,
  ProcessingTimeTrigger,
  SlidingEventTimeWindows,
  SlidingProcessingTimeWindows,
  TumblingEventTimeWindows,
  TumblingProcessingTimeWindows,
} from '../../runtime/operators/window/index.js'

const spans = (windows: readonly TimeWindow[]) => windows.map((w) => [w.start, w.end])
const at = (currentProcessingTime: number) => ({ currentProcessingTime })

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof MillraceError) return error.code
    throw error
  }
  return 'no error'
}

describe('TumblingEventTimeWindows', () => {
  it('aligns windows to the epoch, the end being exclusive', () => {
    const windows = TumblingEventTimeWindows.of(5000)
    expect(spans(windows.assignWindows('x', 0))).toEqual([[0, 5000]])
    expect(spans(windows.assignWindows('x', 4999))).toEqual([[0, 5000]])
    expect(spans(windows.assignWindows('x', 5000))).toEqual([[5000, 10000]])
    expect(windows.assignWindows('x', 5000)[0].maxTimestamp).toBe(9999)
  })

  it('is right before 1970', () => {
    const windows = TumblingEventTimeWindows.of(5000)
    expect(spans(windows.assignWindows('x', -1))).toEqual([[-5000, 0]])
    expect(spans(windows.assignWindows('x', -5000))).toEqual([[-5000, 0]])
    expect(spans(windows.assignWindows('x', -5001))).toEqual([[-10000, -5000]])
  })

  it('moves windows by a positive or negative offset', () => {
    expect(spans(TumblingEventTimeWindows.of(5000, 100).assignWindows('x', 99))).toEqual([[-4900, 100]])
    expect(spans(TumblingEventTimeWindows.of(5000, 100).assignWindows('x', 5100))).toEqual([[5100, 10100]])
    expect(spans(TumblingEventTimeWindows.of(5000, -100).assignWindows('x', 4900))).toEqual([[4900, 9900]])
    expect(spans(TumblingEventTimeWindows.of(5000, -100).assignWindows('x', 4899))).toEqual([[-100, 4900]])
  })

  it('returns the same objects again, also for elements slightly out of order', () => {
    const windows = TumblingEventTimeWindows.of(1000)
    const first = windows.assignWindows('x', 10)
    const second = windows.assignWindows('x', 1010)
    expect(windows.assignWindows('x', 999)).toBe(first)
    expect(windows.assignWindows('x', 1999)).toBe(second)
    expect(windows.assignWindows('x', 0)[0]).toBe(first[0])
    expect(Object.isFrozen(first)).toBe(true)
    expect(Object.isFrozen(first[0])).toBe(true)
    expect(first[0].id).toBe('0/1000')
  })

  it('does not mix up windows that share a cache slot', () => {
    const windows = TumblingEventTimeWindows.of(10)
    for (const ts of [5, 645, 5, 1285, -635, 645, 2 ** 45 + 5, 5]) {
      const start = Math.floor(ts / 10) * 10
      expect(spans(windows.assignWindows('x', ts))).toEqual([[start, start + 10]])
    }
  })

  it('agrees with startWithOffset for timestamps of today, of year 9999 and between milliseconds', () => {
    const timestamp = fc.oneof(fc.integer({ min: -253e12, max: 253e12 }), fc.double({ min: -2e12, max: 2e12, noNaN: true }))
    fc.assert(
      fc.property(timestamp, fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: -9, max: 9 }), fc.nat(10), (base, size, shift, multiple) => {
        const offset = shift % size
        // on a window's start, just before and just after it, and anywhere
        const start = TimeWindow.startWithOffset(Math.floor(base), offset, size) + multiple * size
        const windows = TumblingEventTimeWindows.of(size, offset)
        for (const ts of [start, start - 1, start + 1, start + size - 0.25, base]) {
          const [window] = windows.assignWindows('x', ts)
          expect(window.start <= ts && ts < window.end).toBe(true)
          if (Number.isInteger(ts)) expect(window.start).toBe(TimeWindow.startWithOffset(ts, offset, size))
        }
      }),
    )
  })

  it('refuses records without a timestamp', () => {
    expect(() => TumblingEventTimeWindows.of(5000).assignWindows('x', NO_TIMESTAMP)).toThrow(/assignTimestampsAndWatermarks/)
    expect(codeOf(() => TumblingEventTimeWindows.of(5000).assignWindows('x', NO_TIMESTAMP))).toBe('TIMESTAMP_MISSING')
  })

  it.each([
    [0, 0],
    [-1, 0],
    [Number.NaN, 0],
    [1.5, 0],
    [Number.POSITIVE_INFINITY, 0],
    [1000, 1000],
    [1000, -1000],
    [1000, 1500],
    [1000, 0.5],
  ])('refuses size %d, offset %d', (size, offset) => {
    expect(codeOf(() => TumblingEventTimeWindows.of(size, offset))).toBe('OPTION_INVALID')
    expect(codeOf(() => TumblingProcessingTimeWindows.of(size, offset))).toBe('OPTION_INVALID')
  })

  it('ends by event time and fires by the watermark', () => {
    const windows = TumblingEventTimeWindows.of(1)
    expect(windows.isEventTime).toBe(true)
    expect(windows.getDefaultTrigger()).toBe(EventTimeTrigger.create())
    expect(String(TumblingEventTimeWindows.of(1000, -5))).toBe('TumblingEventTimeWindows(1000, offset -5)')
  })
})

describe('SlidingEventTimeWindows', () => {
  it('gives the newest window first', () => {
    const windows = SlidingEventTimeWindows.of(5000, 1000)
    expect(spans(windows.assignWindows('x', 4999))).toEqual([
      [4000, 9000],
      [3000, 8000],
      [2000, 7000],
      [1000, 6000],
      [0, 5000],
    ])
    expect(spans(windows.assignWindows('x', -1))[0]).toEqual([-1000, 4000])
  })

  it('gives no window in the gaps when the slide is longer than the size', () => {
    const windows = SlidingEventTimeWindows.of(300, 1000)
    expect(spans(windows.assignWindows('x', 299))).toEqual([[0, 300]])
    expect(spans(windows.assignWindows('x', 300))).toEqual([])
    expect(spans(windows.assignWindows('x', 999))).toEqual([])
    expect(spans(windows.assignWindows('x', 1000))).toEqual([[1000, 1300]])
  })

  it('knows both numbers of windows when the slide does not divide the size', () => {
    const windows = SlidingEventTimeWindows.of(10, 4)
    expect(spans(windows.assignWindows('x', 1))).toEqual([
      [0, 10],
      [-4, 6],
      [-8, 2],
    ])
    expect(spans(windows.assignWindows('x', 3))).toEqual([
      [0, 10],
      [-4, 6],
    ])
    expect(spans(windows.assignWindows('x', 1))).toHaveLength(3)
  })

  it('shares windows between neighbouring timestamps', () => {
    const windows = SlidingEventTimeWindows.of(2000, 1000)
    const [newer, older] = windows.assignWindows('x', 1500)
    const [, olderNext] = windows.assignWindows('x', 2500)
    expect(olderNext).toBe(newer)
    expect(windows.assignWindows('x', 1000)).toEqual([newer, older])
  })

  it.each([
    [0, 1, 0],
    [1, 0, 0],
    [-5, 1, 0],
    [10, -1, 0],
    [10, 5, 5],
    [10, 5, -7],
  ])('refuses size %d, slide %d, offset %d', (size, slide, offset) => {
    expect(codeOf(() => SlidingEventTimeWindows.of(size, slide, offset))).toBe('OPTION_INVALID')
    expect(codeOf(() => SlidingProcessingTimeWindows.of(size, slide, offset))).toBe('OPTION_INVALID')
  })

  it('refuses more than ten million windows for each element', () => {
    expect(codeOf(() => SlidingEventTimeWindows.of(10_000_001, 1))).toBe('OPTION_INVALID')
  })

  it('refuses records without a timestamp', () => {
    expect(codeOf(() => SlidingEventTimeWindows.of(10, 5).assignWindows('x', NO_TIMESTAMP))).toBe('TIMESTAMP_MISSING')
  })

  it('equals the definition, whatever was asked before', () => {
    const shape = fc
      .record({ size: fc.integer({ min: 1, max: 60 }), slide: fc.integer({ min: 1, max: 40 }), shift: fc.integer({ min: -1000, max: 1000 }) })
      .map(({ size, slide, shift }) => ({ size, slide, offset: shift % slide }))
    const times = fc.array(fc.integer({ min: -3000, max: 3000 }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(shape, times, ({ size, slide, offset }, timestamps) => {
        const event = SlidingEventTimeWindows.of(size, slide, offset)
        const processing = SlidingProcessingTimeWindows.of(size, slide, offset)
        for (const ts of timestamps) {
          const expected: number[][] = []
          // every window start within reach, newest first
          for (let start = ts; start > ts - size; start--) if ((start - offset) % slide === 0) expected.push([start, start + size])
          expect(spans(event.assignWindows('x', ts))).toEqual(expected)
          expect(spans(processing.assignWindows('x', NO_TIMESTAMP, at(ts)))).toEqual(expected)
        }
      }),
    )
  })
})

describe('processing-time windows', () => {
  it('go by the clock and need no timestamps', () => {
    const tumbling = TumblingProcessingTimeWindows.of(1000, 10)
    expect(spans(tumbling.assignWindows('x', 5_000_000, at(1009)))).toEqual([[10, 1010]])
    expect(spans(tumbling.assignWindows('x', NO_TIMESTAMP, at(1010)))).toEqual([[1010, 2010]])
    expect(tumbling.isEventTime).toBe(false)
    expect(tumbling.getDefaultTrigger()).toBe(ProcessingTimeTrigger.create())
    expect(SlidingProcessingTimeWindows.of(10, 5).getDefaultTrigger()).toBe(ProcessingTimeTrigger.create())
  })
})

describe('session windows', () => {
  it('open a window of the gap at each element', () => {
    expect(spans(EventTimeSessionWindows.withGap(5000).assignWindows('x', 4999))).toEqual([[4999, 9999]])
    expect(spans(ProcessingTimeSessionWindows.withGap(5000).assignWindows('x', NO_TIMESTAMP, at(7)))).toEqual([[7, 5007]])
  })

  it('give every element a window of its own', () => {
    const sessions = EventTimeSessionWindows.withGap(10)
    const [first] = sessions.assignWindows('x', 0)
    sessions.assignWindows('x', 5)
    expect([first.start, first.end]).toEqual([0, 10])
  })

  it('ask each element for a dynamic gap', () => {
    const gap = (element: { gap: number }) => element.gap
    expect(spans(EventTimeSessionWindows.withDynamicGap(gap).assignWindows({ gap: 3 }, 10))).toEqual([[10, 13]])
    expect(spans(ProcessingTimeSessionWindows.withDynamicGap(gap).assignWindows({ gap: 4 }, 10, at(20)))).toEqual([[20, 24]])
  })

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuse a gap of %d', (gap) => {
    expect(codeOf(() => EventTimeSessionWindows.withGap(gap))).toBe('OPTION_INVALID')
    expect(codeOf(() => ProcessingTimeSessionWindows.withGap(gap))).toBe('OPTION_INVALID')
    expect(codeOf(() => EventTimeSessionWindows.withDynamicGap(() => gap).assignWindows('x', 0))).toBe('OPTION_INVALID')
    expect(codeOf(() => ProcessingTimeSessionWindows.withDynamicGap(() => gap).assignWindows('x', 0, at(0)))).toBe('OPTION_INVALID')
  })

  it('refuse records without a timestamp in event time', () => {
    expect(codeOf(() => EventTimeSessionWindows.withGap(10).assignWindows('x', NO_TIMESTAMP))).toBe('TIMESTAMP_MISSING')
  })

  it('are told from others by the type of isMerging', () => {
    expectTypeOf(EventTimeSessionWindows.withGap(1).isMerging).toEqualTypeOf<true>()
    expectTypeOf(TumblingEventTimeWindows.of(1).isMerging).toEqualTypeOf<false>()
    expectTypeOf(GlobalWindows.create().isMerging).toEqualTypeOf<false>()
    expect([EventTimeSessionWindows.withGap(1).isMerging, TumblingEventTimeWindows.of(1).isMerging]).toEqual([true, false])
  })
})

describe('GlobalWindows', () => {
  it('has one window that never ends', () => {
    const windows = GlobalWindows.create()
    expect(windows.assignWindows()).toEqual([GlobalWindow.INSTANCE])
    expect(windows.assignWindows()[0].maxTimestamp).toBe(MAX_WATERMARK)
    expect(windows.isEventTime).toBe(false)
    expect(windows.getDefaultTrigger()).toBe(NeverTrigger.create())
    expect(GlobalWindows.createWithEndOfStreamTrigger().getDefaultTrigger()).toBe(EndOfStreamTrigger.create())
  })
})

describe('windows as plain data', () => {
  it('come back as equal windows', () => {
    for (const assigner of [TumblingEventTimeWindows.of(10), SlidingProcessingTimeWindows.of(10, 5), EventTimeSessionWindows.withGap(3)]) {
      const data = JSON.parse(JSON.stringify(assigner.windowToData(new TimeWindow(-10, 0))))
      const window = assigner.windowFromData(data)
      expect(window).toBeInstanceOf(TimeWindow)
      expect([window.start, window.end, window.id]).toEqual([-10, 0, '-10/0'])
    }
    const global = GlobalWindows.create()
    expect(global.windowFromData()).toBe(GlobalWindow.INSTANCE)
    expect(global.windowToData(GlobalWindow.INSTANCE)).toBe('global')
  })

  it.each([[null], ['global'], [[1]], [[1, 'x']], [[1, null]]])('refuse %j', (data) => {
    expect(codeOf(() => TumblingEventTimeWindows.of(10).windowFromData(data))).toBe('CHECKPOINT_CORRUPT')
    expect(codeOf(() => EventTimeSessionWindows.withGap(10).windowFromData(data))).toBe('CHECKPOINT_CORRUPT')
  })
})
