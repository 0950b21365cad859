import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TimeWindow } from '../../runtime/core/index.js'
import { EventTimeSessionWindows, EventTimeTrigger, MergingWindowAssigner, MergingWindowSet } from '../../runtime/operators/window/index.js'

const sessions = EventTimeSessionWindows.withGap(100)
const w = (start: number, end: number) => new TimeWindow(start, end)
const ids = (windows: readonly TimeWindow[]) => windows.map((window) => window.id)

interface Merge {
  readonly result: string
  readonly merged: string[]
  readonly state: string
  readonly mergedState: string[]
}

/** A set that records its merges and keeps elements the way a window operator does. */
class Sessions<E> {
  set = new MergingWindowSet<TimeWindow>(sessions)
  readonly merges: Merge[] = []
  readonly contents = new Map<string, E[]>()

  add(window: TimeWindow, element?: E): TimeWindow {
    const result = this.set.addWindow(window, (mergeResult, merged, state, mergedState) => {
      this.merges.push({ result: mergeResult.id, merged: ids(merged), state: state.id, mergedState: ids(mergedState) })
      const target = this.contents.get(state.id) ?? []
      for (const source of mergedState) {
        target.push(...(this.contents.get(source.id) ?? []))
        this.contents.delete(source.id)
      }
      this.contents.set(state.id, target)
    })
    if (element !== undefined) {
      const at = this.stateOf(result)
      this.contents.set(at, [...(this.contents.get(at) ?? []), element])
    }
    return result
  }

  stateOf(window: TimeWindow): string {
    const state = this.set.getStateWindow(window)
    if (state === undefined) throw new Error(`${window.id} is not in flight`)
    return state.id
  }
}

describe('MergingWindowSet', () => {
  it('keeps windows apart that do not touch', () => {
    const s = new Sessions()
    expect(s.add(w(0, 4)).id).toBe('0/4')
    expect(s.add(w(5, 9)).id).toBe('5/9')
    expect(s.merges).toEqual([])
    expect(s.stateOf(w(0, 4))).toBe('0/4')
    expect(s.stateOf(w(5, 9))).toBe('5/9')
  })

  it('merges windows that just touch', () => {
    const s = new Sessions()
    s.add(w(0, 4))
    expect(s.add(w(4, 8)).id).toBe('0/8')
    expect(s.merges).toEqual([{ result: '0/8', merged: ['0/4'], state: '0/4', mergedState: [] }])
  })

  it('keeps the state window while a window grows in both directions (I3)', () => {
    const s = new Sessions()
    s.add(w(10, 14))
    s.add(w(12, 16))
    s.add(w(8, 11))
    expect(ids(s.set.windows())).toEqual(['8/16'])
    expect(s.stateOf(w(8, 16))).toBe('10/14')
    expect(s.set.getStateWindow(w(10, 14))).toBeUndefined()
  })

  it('says nothing when the new window lies within one in flight', () => {
    const s = new Sessions()
    s.add(w(0, 10))
    s.set.toData()
    expect(s.add(w(3, 5)).id).toBe('0/10')
    expect(s.add(w(0, 10)).id).toBe('0/10')
    expect(s.merges).toEqual([])
    expect(s.set.changed).toBe(false)
    expect(s.stateOf(w(0, 10))).toBe('0/10')
  })

  it('reports a merge when the new window covers one in flight', () => {
    const s = new Sessions()
    s.add(w(3, 5))
    expect(s.add(w(0, 10)).id).toBe('0/10')
    expect(s.merges).toEqual([{ result: '0/10', merged: ['3/5'], state: '3/5', mergedState: [] }])
    expect(s.stateOf(w(0, 10))).toBe('3/5')
  })

  it('loses the contents when a window equals the outcome of an earlier merge, as Flink does', () => {
    const s = new Sessions<number>()
    s.add(w(0, 10), 1)
    s.add(w(5, 15), 2)
    expect(s.add(w(0, 15), 3).id).toBe('0/15')
    expect(s.stateOf(w(0, 15))).toBe('0/15')
    expect(s.contents.get('0/15')).toEqual([3])
    expect(s.contents.get('0/10')).toEqual([1, 2])
  })

  it('bridges two windows: one state window takes in the other', () => {
    const s = new Sessions()
    s.add(w(0, 100))
    s.add(w(150, 250))
    expect(s.add(w(80, 180)).id).toBe('0/250')
    expect(s.merges).toHaveLength(1)
    expect(s.merges[0].result).toBe('0/250')
    expect([...s.merges[0].merged].sort()).toEqual(['0/100', '150/250'])
    expect([s.merges[0].state, ...s.merges[0].mergedState].sort()).toEqual(['0/100', '150/250'])
    expect(s.set.size).toBe(1)
  })

  it('swallows many windows at once', () => {
    const s = new Sessions()
    for (const start of [0, 20, 40, 60]) s.add(w(start, start + 5))
    s.add(w(200, 205))
    expect(s.add(w(1, 64)).id).toBe('0/65')
    expect(s.merges[0].mergedState).toHaveLength(3)
    expect(ids(s.set.windows()).sort()).toEqual(['0/65', '200/205'])
  })

  it('retires windows, and only those in flight', () => {
    const s = new Sessions()
    s.add(w(0, 4))
    s.add(w(4, 8))
    s.set.retireWindow(w(0, 8))
    expect(s.set.size).toBe(0)
    expect(() => s.set.retireWindow(w(0, 8))).toThrow(/in flight/)
    expect(s.add(w(2, 6)).id).toBe('2/6')
  })

  it('survives as plain data and knows whether it changed', () => {
    const s = new Sessions()
    expect(s.set.changed).toBe(false)
    s.add(w(0, 4))
    s.add(w(3, 9))
    expect(s.set.changed).toBe(true)
    const data = s.set.toData()
    expect(data).toEqual([
      [
        [0, 9],
        [0, 4],
      ],
    ])
    expect(s.set.changed).toBe(false)
    s.set = new MergingWindowSet(sessions, JSON.parse(JSON.stringify(data)))
    expect(s.set.changed).toBe(false)
    expect(s.stateOf(w(0, 9))).toBe('0/4')
    s.add(w(8, 12))
    expect(s.stateOf(w(0, 12))).toBe('0/4')
    expect(s.set.changed).toBe(true)
  })

  it('refuses damaged data', () => {
    expect(() => new MergingWindowSet(sessions, 'x')).toThrow(/CHECKPOINT_CORRUPT/)
    expect(() => new MergingWindowSet(sessions, [[[0, 1]]])).toThrow(/CHECKPOINT_CORRUPT/)
    expect(() => new MergingWindowSet(sessions, [[[0, 1], null]])).toThrow(/CHECKPOINT_CORRUPT/)
  })

  // vs of Flink 2.3.0, whose order comes from iterating over a java.util.HashSet
  it.each([
    { timestamps: [0, 150, 80], order: [0, 150, 80] },
    { timestamps: [150, 0, 80], order: [0, 150, 80] },
    { timestamps: [3150, 3000, 3080], order: [3150, 3000, 3080] },
    { timestamps: [10000, 10150, 10075], order: [10150, 10000, 10075] },
    { timestamps: [0, 150, 300, 75, 225], order: [0, 150, 75, 300, 225] },
  ])('puts merged elements in the order of Flink: $timestamps', ({ timestamps, order }) => {
    const s = new Sessions<number>()
    for (const ts of timestamps) s.add(w(ts, ts + 100), ts)
    expect([...s.contents.values()]).toEqual([order])
  })

  it('ends with the same sessions and elements in whatever order elements come, with restores in between', () => {
    const element = fc.record({ ts: fc.integer({ min: -300, max: 300 }), gap: fc.integer({ min: 1, max: 40 }) })
    const shuffled = fc
      .array(element, { minLength: 1, maxLength: 40 })
      .chain((elements) => fc.tuple(fc.constant(elements), fc.shuffledSubarray(elements, { minLength: elements.length })))
    fc.assert(
      fc.property(shuffled, fc.integer({ min: 0, max: 40 }), ([elements, order], restoreAt) => {
        const s = new Sessions<(typeof elements)[number]>()
        let lost = false
        order.forEach((e, i) => {
          if (i === restoreAt) s.set = new MergingWindowSet(sessions, s.set.toData())
          const stateWindow = s.set.getStateWindow(w(e.ts, e.ts + e.gap))
          lost ||= stateWindow !== undefined && stateWindow.id !== w(e.ts, e.ts + e.gap).id
          const result = s.add(w(e.ts, e.ts + e.gap), e)
          expect(result.start <= e.ts && result.end >= e.ts + e.gap).toBe(true)
          const states = s.set.windows().map((window) => s.stateOf(window))
          expect(new Set(states).size, 'I2').toBe(s.set.size)
        })
        const windows = s.set.windows().sort((a, b) => a.start - b.start)
        expect(ids(windows), 'I1').toEqual(ids(sweep(elements)))
        if (lost) return
        const kept = windows.map((window) => s.contents.get(s.stateOf(window)))
        const expected = windows.map((window) => elements.filter((e) => e.ts >= window.start && e.ts <= window.end))
        expect(kept.map((list) => new Set(list))).toEqual(expected.map((list) => new Set(list)))
        expect(kept.map((list) => list?.length)).toEqual(expected.map((list) => list.length))
        expect(s.contents.size).toBe(windows.length)
      }),
    )
  })

  it('carries out merges of a custom assigner that leave the new window alone', () => {
    const set = new MergingWindowSet<TimeWindow>(new MergesAllButTheLast())
    const merges: string[][] = []
    const onMerge = (result: TimeWindow, merged: readonly TimeWindow[]) => void merges.push([result.id, ...ids(merged)])
    set.addWindow(w(0, 1), onMerge)
    set.addWindow(w(10, 11), onMerge)
    expect(set.addWindow(w(20, 21), onMerge).id).toBe('20/21')
    expect(merges).toEqual([['0/11', '0/1', '10/11']])
    expect(ids(set.windows()).sort()).toEqual(['0/11', '20/21'])
  })

  it('refuses an assigner that merges windows it was not given', () => {
    const broken = new MergesAllButTheLast([w(7, 8), w(8, 9)])
    expect(() => new MergingWindowSet<TimeWindow>(broken).addWindow(w(0, 1), () => {})).toThrow(/PLAN_INVALID[\s\S]*mergeWindows/)
    const alone = new MergesAllButTheLast([w(0, 1)])
    expect(() => new MergingWindowSet<TimeWindow>(alone).addWindow(w(0, 1), () => {})).toThrow(/PLAN_INVALID[\s\S]*no other/)
  })
})

/** The sessions by their definition: sort, then join what touches. */
function sweep(elements: readonly { ts: number; gap: number }[]): TimeWindow[] {
  const result: TimeWindow[] = []
  for (const { ts, gap } of [...elements].sort((a, b) => a.ts - b.ts)) {
    const last = result.at(-1)
    if (last !== undefined && ts <= last.end) result[result.length - 1] = w(last.start, Math.max(last.end, ts + gap))
    else result.push(w(ts, ts + gap))
  }
  return result
}

class MergesAllButTheLast extends MergingWindowAssigner<unknown, TimeWindow> {
  readonly isEventTime = true
  constructor(readonly always?: readonly TimeWindow[]) {
    super()
  }
  assignWindows(): readonly TimeWindow[] {
    return []
  }
  getDefaultTrigger() {
    return EventTimeTrigger.create()
  }
  windowToData(window: TimeWindow): unknown {
    return [window.start, window.end]
  }
  windowFromData(): TimeWindow {
    return w(0, 0)
  }
  mergeWindows(windows: readonly TimeWindow[], callback: (toBeMerged: readonly TimeWindow[], result: TimeWindow) => void): void {
    const group = this.always ?? windows.slice(0, -1)
    if (this.always !== undefined || group.length > 1) callback(group, w(group[0].start, group[group.length - 1].end))
  }
}
