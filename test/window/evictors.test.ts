import { describe, expect, it } from 'vitest'
import { NO_TIMESTAMP, TimeWindow } from '../../runtime/core/index.js'
import { CountEvictor, DeltaEvictor, type Evictor, TimeEvictor, type TimestampedValue } from '../../runtime/operators/window/index.js'

const WINDOW = new TimeWindow(0, 1000)
const CONTEXT = { currentProcessingTime: 0, currentWatermark: 0 }

function run(
  evictor: Evictor<number, TimeWindow>,
  when: 'before' | 'after',
  elements: readonly (readonly [value: number, timestamp: number])[],
): number[] {
  const buffer: TimestampedValue<number>[] = elements.map(([value, timestamp]) => ({ value, timestamp }))
  if (when === 'before') evictor.evictBefore(buffer, buffer.length, WINDOW, CONTEXT)
  else evictor.evictAfter(buffer, buffer.length, WINDOW, CONTEXT)
  return buffer.map((element) => element.value)
}

const numbered = (timestamps: readonly number[]) => timestamps.map((timestamp, i) => [i, timestamp] as const)

describe('CountEvictor', () => {
  it('keeps the last elements', () => {
    expect(run(CountEvictor.of(2), 'before', numbered([1, 2, 3, 4]))).toEqual([2, 3])
    expect(run(CountEvictor.of(4), 'before', numbered([1, 2, 3, 4]))).toEqual([0, 1, 2, 3])
    expect(run(CountEvictor.of(0), 'before', numbered([1, 2]))).toEqual([])
    expect(run(CountEvictor.of(3), 'before', [])).toEqual([])
  })

  it('works either before or after the window function', () => {
    expect(run(CountEvictor.of(1), 'after', numbered([1, 2]))).toEqual([0, 1])
    expect(run(CountEvictor.of(1, true), 'before', numbered([1, 2]))).toEqual([0, 1])
    expect(run(CountEvictor.of(1, true), 'after', numbered([1, 2]))).toEqual([1])
  })

  it('refuses counts that are none', () => {
    expect(() => CountEvictor.of(-1)).toThrow(/OPTION_INVALID/)
    expect(() => CountEvictor.of(1.5)).toThrow(/OPTION_INVALID/)
  })
})

describe('TimeEvictor', () => {
  it('goes by the newest element, wherever it stands; the cutoff itself is out', () => {
    expect(run(TimeEvictor.of(100), 'before', numbered([300, 100, 200, 201, 150]))).toEqual([0, 3])
  })

  it('does nothing when the first element has no timestamp', () => {
    expect(run(TimeEvictor.of(10), 'before', numbered([NO_TIMESTAMP, 5, 100]))).toEqual([0, 1, 2])
    expect(run(TimeEvictor.of(10), 'before', [])).toEqual([])
  })

  it('works either before or after the window function', () => {
    expect(run(TimeEvictor.of(10), 'after', numbered([0, 100]))).toEqual([0, 1])
    expect(run(TimeEvictor.of(10, true), 'before', numbered([0, 100]))).toEqual([0, 1])
    expect(run(TimeEvictor.of(10, true), 'after', numbered([0, 100]))).toEqual([1])
  })
})

describe('DeltaEvictor', () => {
  const delta = (old: number, last: number) => last - old

  it('removes elements whose delta to the last one reaches the threshold, wherever they stand', () => {
    const elements = [5, 9, 4, 8, 10].map((value) => [value, 0] as const)
    expect(run(DeltaEvictor.of(5, delta), 'before', elements)).toEqual([9, 8, 10])
  })

  it('compares the last element with itself too', () => {
    expect(run(DeltaEvictor.of(0, delta), 'before', [[3, 0]])).toEqual([])
  })

  it('works either before or after the window function', () => {
    const elements = [
      [0, 0],
      [10, 0],
    ] as const
    expect(run(DeltaEvictor.of(5, delta), 'after', elements)).toEqual([0, 10])
    expect(run(DeltaEvictor.of(5, delta, true), 'before', elements)).toEqual([0, 10])
    expect(run(DeltaEvictor.of(5, delta, true), 'after', elements)).toEqual([10])
  })
})
