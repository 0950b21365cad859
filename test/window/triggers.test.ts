import { beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { GlobalWindow, MAX_WATERMARK, NO_TIMESTAMP, TimeWindow } from '../../runtime/core/index.js'
import {
  ContinuousEventTimeTrigger,
  ContinuousProcessingTimeTrigger,
  CountTrigger,
  DeltaTrigger,
  EndOfStreamTrigger,
  EventTimeTrigger,
  NeverTrigger,
  ProcessingTimeoutTrigger,
  ProcessingTimeTrigger,
  PurgingTrigger,
  Trigger,
  TriggerResult,
} from '../../runtime/operators/window/index.js'
import { FakeTriggerContext } from './fake-trigger-context.js'

const { CONTINUE, FIRE, PURGE, FIRE_AND_PURGE } = TriggerResult
const A = new TimeWindow(0, 100)
const B = new TimeWindow(100, 200)
const AB = new TimeWindow(0, 200)

let fake: FakeTriggerContext
beforeEach(() => {
  fake = new FakeTriggerContext()
})

describe('EventTimeTrigger', () => {
  const trigger = EventTimeTrigger.create()

  it('fires at the end of the window only', () => {
    expect(trigger.onElement('x', 5, A, fake.for(A))).toBe(CONTINUE)
    expect(fake.eventTimers(A)).toEqual([99])
    expect(trigger.onEventTime(99, A)).toBe(FIRE)
    expect(trigger.onEventTime(150, A)).toBe(CONTINUE)
    expect(trigger.onProcessingTime()).toBe(CONTINUE)
  })

  it('fires at once for a late element', () => {
    fake.currentWatermark = 98
    expect(trigger.onElement('x', 5, A, fake.for(A))).toBe(CONTINUE)
    fake.currentWatermark = 99
    expect(trigger.onElement('x', 5, A, fake.for(A))).toBe(FIRE)
  })

  it('registers a merged window unless its end has passed', () => {
    trigger.onMerge(AB, fake.for(AB))
    expect(fake.eventTimers(AB)).toEqual([199])
    fake.currentWatermark = 99
    trigger.onMerge(A, fake.for(A))
    expect(fake.eventTimers(A)).toEqual([])
    expect(trigger.canMerge()).toBe(true)
  })

  it('deletes its timer', () => {
    trigger.onElement('x', 5, A, fake.for(A))
    trigger.clear(A, fake.for(A))
    expect(fake.eventTimers(A)).toEqual([])
  })
})

describe('ProcessingTimeTrigger', () => {
  const trigger = ProcessingTimeTrigger.create()

  it('fires when the clock reaches the end of the window', () => {
    expect(trigger.onElement('x', NO_TIMESTAMP, A, fake.for(A))).toBe(CONTINUE)
    expect(fake.processingTimers(A)).toEqual([99])
    expect(trigger.onProcessingTime()).toBe(FIRE)
    expect(trigger.onEventTime()).toBe(CONTINUE)
    trigger.clear(A, fake.for(A))
    expect(fake.processingTimers(A)).toEqual([])
  })

  it('registers a merged window unless its end has passed', () => {
    fake.currentProcessingTime = 99
    trigger.onMerge(A, fake.for(A))
    trigger.onMerge(AB, fake.for(AB))
    expect(fake.processingTimers(A)).toEqual([])
    expect(fake.processingTimers(AB)).toEqual([199])
  })
})

describe('CountTrigger', () => {
  const trigger = CountTrigger.of(3)
  const add = (window: TimeWindow) => trigger.onElement('x', 5, window, fake.for(window))

  it('fires at every n-th element of a window, and never by time', () => {
    expect([1, 2, 3, 4, 5, 6].map(() => add(A))).toEqual([CONTINUE, CONTINUE, FIRE, CONTINUE, CONTINUE, FIRE])
    expect(trigger.onEventTime()).toBe(CONTINUE)
    expect(trigger.onProcessingTime()).toBe(CONTINUE)
  })

  it('counts windows apart and adds them up when they merge', () => {
    add(A)
    add(B)
    expect(add(A)).toBe(CONTINUE)
    expect(trigger.canMerge()).toBe(true)
    trigger.onMerge(AB, fake.for(AB, [A, B]))
    expect(add(AB)).toBe(FIRE)
    expect(fake.stateCount).toBe(0)
  })

  it('forgets its count when the window is dropped', () => {
    add(A)
    trigger.clear(A, fake.for(A))
    expect(fake.stateCount).toBe(0)
  })

  it('fires at each element for a count of 1 and refuses less', () => {
    expect(CountTrigger.of(1).onElement('x', 5, A, fake.for(A))).toBe(FIRE)
    expect(() => CountTrigger.of(0)).toThrow(/OPTION_INVALID/)
    expect(() => CountTrigger.of(2.5)).toThrow(/OPTION_INVALID/)
  })
})

describe('PurgingTrigger', () => {
  it('turns FIRE into FIRE_AND_PURGE and leaves the rest', () => {
    const trigger = PurgingTrigger.of(CountTrigger.of(2))
    expect(trigger.onElement('x', 5, A, fake.for(A))).toBe(CONTINUE)
    expect(trigger.onElement('x', 5, A, fake.for(A))).toBe(FIRE_AND_PURGE)
    const scripted = PurgingTrigger.of(new ScriptedTrigger([PURGE, FIRE_AND_PURGE, FIRE, CONTINUE]))
    expect([1, 2, 3, 4].map((time) => scripted.onEventTime(time, A, fake.for(A)))).toEqual([PURGE, FIRE_AND_PURGE, FIRE_AND_PURGE, CONTINUE])
    expect(PurgingTrigger.of(EventTimeTrigger.create()).onEventTime(99, A, fake.for(A))).toBe(FIRE_AND_PURGE)
    expect(PurgingTrigger.of(ProcessingTimeTrigger.create()).onProcessingTime(99, A, fake.for(A))).toBe(FIRE_AND_PURGE)
  })

  it('merges and clears like the nested trigger', () => {
    const trigger = PurgingTrigger.of(CountTrigger.of(3))
    trigger.onElement('x', 5, A, fake.for(A))
    trigger.onMerge(AB, fake.for(AB, [A]))
    trigger.clear(AB, fake.for(AB))
    expect(fake.stateCount).toBe(0)
    expect(trigger.canMerge()).toBe(true)
    expect(PurgingTrigger.of(DeltaTrigger.of<number>(1, (a, b) => b - a)).canMerge()).toBe(false)
    expect(trigger.states).toEqual(CountTrigger.of(3).states)
  })
})

describe('ContinuousEventTimeTrigger', () => {
  const trigger = ContinuousEventTimeTrigger.of(30)

  it('fires at multiples of the interval and at the end of the window', () => {
    expect(trigger.onElement('x', 35, A, fake.for(A))).toBe(CONTINUE)
    expect(fake.eventTimers(A)).toEqual([60, 99])
    expect(trigger.onElement('x', 5, A, fake.for(A))).toBe(CONTINUE)
    expect(fake.eventTimers(A)).toEqual([60, 99])
    expect(trigger.onEventTime(60, A, fake.for(A))).toBe(FIRE)
    expect(trigger.onEventTime(90, A, fake.for(A))).toBe(FIRE)
    expect(fake.eventTimers(A)).toEqual([60, 90, 99])
    expect(trigger.onEventTime(99, A, fake.for(A))).toBe(FIRE)
    expect(trigger.onEventTime(70, A, fake.for(A))).toBe(CONTINUE)
    expect(trigger.onProcessingTime()).toBe(CONTINUE)
  })

  it('never registers beyond the end of the window', () => {
    trigger.onElement('x', 95, A, fake.for(A))
    expect(fake.eventTimers(A)).toEqual([99])
  })

  it('fires at once for a late element, without registering anything', () => {
    fake.currentWatermark = 99
    expect(trigger.onElement('x', 35, A, fake.for(A))).toBe(FIRE)
    expect(fake.eventTimers(A)).toEqual([])
    expect(fake.stateCount).toBe(0)
  })

  it('takes the earliest next time of merged windows', () => {
    trigger.onElement('x', 35, A, fake.for(A))
    trigger.onElement('x', 125, B, fake.for(B))
    trigger.onMerge(AB, fake.for(AB, [B, A]))
    expect(fake.eventTimers(AB)).toEqual([60])
    expect(trigger.onEventTime(60, AB, fake.for(AB))).toBe(FIRE)
  })

  it('deletes its next timer and its state', () => {
    trigger.onElement('x', 35, A, fake.for(A))
    trigger.clear(A, fake.for(A))
    expect(fake.eventTimers(A)).toEqual([99])
    expect(fake.stateCount).toBe(0)
    trigger.clear(A, fake.for(A))
  })

  it('goes on for ever in a global window, but ends with event time', () => {
    const g = GlobalWindow.INSTANCE
    trigger.onElement('x', -5, g, fake.for(g))
    expect(fake.eventTimers(g)).toEqual([30, MAX_WATERMARK])
    fake.currentWatermark = 40
    expect(trigger.onEventTime(30, g, fake.for(g))).toBe(FIRE)
    expect(fake.eventTimers(g)).toEqual([30, 60, MAX_WATERMARK])
    fake.currentWatermark = MAX_WATERMARK
    expect(trigger.onEventTime(60, g, fake.for(g))).toBe(FIRE)
    expect(fake.eventTimers(g)).toEqual([30, 60, MAX_WATERMARK])
    expect(trigger.onEventTime(MAX_WATERMARK, g, fake.for(g))).toBe(FIRE)
  })

  it('refuses records without a timestamp, and intervals that are none', () => {
    const g = GlobalWindow.INSTANCE
    expect(() => trigger.onElement('x', NO_TIMESTAMP, g, fake.for(g))).toThrow(/TIMESTAMP_MISSING/)
    expect(() => ContinuousEventTimeTrigger.of(0)).toThrow(/OPTION_INVALID/)
  })
})

describe('ContinuousProcessingTimeTrigger', () => {
  const trigger = ContinuousProcessingTimeTrigger.of(30)

  it('fires at multiples of the interval on the clock, and at the end of the window', () => {
    fake.currentProcessingTime = 35
    expect(trigger.onElement('x', 1_000_000, A, fake.for(A))).toBe(CONTINUE)
    expect(fake.processingTimers(A)).toEqual([60])
    expect(trigger.onProcessingTime(60, A, fake.for(A))).toBe(FIRE)
    expect(trigger.onProcessingTime(90, A, fake.for(A))).toBe(FIRE)
    expect(fake.processingTimers(A)).toEqual([60, 90, 99])
    expect(trigger.onProcessingTime(99, A, fake.for(A))).toBe(FIRE)
    expect(trigger.onProcessingTime(70, A, fake.for(A))).toBe(CONTINUE)
    expect(trigger.onEventTime()).toBe(CONTINUE)
  })

  it('merges to the earliest next time and clears', () => {
    fake.currentProcessingTime = 35
    trigger.onElement('x', 0, A, fake.for(A))
    fake.currentProcessingTime = 125
    trigger.onElement('x', 0, B, fake.for(B))
    trigger.onMerge(AB, fake.for(AB, [A, B]))
    expect(fake.processingTimers(AB)).toEqual([60])
    trigger.clear(AB, fake.for(AB))
    expect(fake.processingTimers(AB)).toEqual([])
    expect(fake.stateCount).toBe(0)
  })
})

describe('DeltaTrigger', () => {
  const trigger = DeltaTrigger.of<number>(10, (last, next) => next - last)
  const add = (value: number) => trigger.onElement(value, 0, A, fake.for(A))

  it('fires when the distance to the element that fired last exceeds the threshold', () => {
    expect([0, 10, 5, 11, 20, 21, 22].map(add)).toEqual([CONTINUE, CONTINUE, CONTINUE, FIRE, CONTINUE, CONTINUE, FIRE])
  })

  it('does not fire by time, does not merge, and clears', () => {
    add(1)
    expect([trigger.onEventTime(), trigger.onProcessingTime()]).toEqual([CONTINUE, CONTINUE])
    expect(trigger.canMerge()).toBe(false)
    expect(() => trigger.onMerge(AB, fake.for(AB))).toThrow(/PLAN_INVALID/)
    trigger.clear(A, fake.for(A))
    expect(fake.stateCount).toBe(0)
    expect(add(100)).toBe(CONTINUE)
  })
})

describe('ProcessingTimeoutTrigger', () => {
  const context = () => fake.for(A)

  it('fires at the timeout after the first element, or with the nested trigger', () => {
    const trigger = ProcessingTimeoutTrigger.of(CountTrigger.of(3), 50)
    fake.currentProcessingTime = 7
    expect(trigger.onElement('x', 0, A, context())).toBe(CONTINUE)
    fake.currentProcessingTime = 20
    expect(trigger.onElement('x', 0, A, context())).toBe(CONTINUE)
    expect(fake.processingTimers(A)).toEqual([57])
    expect(trigger.onElement('x', 0, A, context())).toBe(FIRE)
    expect(fake.processingTimers(A)).toEqual([])
    expect(fake.stateCount).toBe(0)
  })

  it('starts counting anew after a timeout', () => {
    const trigger = ProcessingTimeoutTrigger.of(CountTrigger.of(2), 50)
    trigger.onElement('x', 0, A, context())
    expect(trigger.onProcessingTime(50, A, context())).toBe(FIRE)
    expect(fake.stateCount).toBe(0)
    expect(trigger.onElement('x', 0, A, context())).toBe(CONTINUE)
  })

  it('keeps the nested state with clearOnTimeout: false', () => {
    const trigger = ProcessingTimeoutTrigger.of(CountTrigger.of(2), 50, { clearOnTimeout: false })
    trigger.onElement('x', 0, A, context())
    expect(trigger.onProcessingTime(50, A, context())).toBe(FIRE)
    expect(trigger.onElement('x', 0, A, context())).toBe(FIRE)
  })

  it('moves the timer with resetOnElement', () => {
    const trigger = ProcessingTimeoutTrigger.of(CountTrigger.of(9), 50, { resetOnElement: true })
    trigger.onElement('x', 0, A, context())
    fake.currentProcessingTime = 20
    trigger.onElement('x', 0, A, context())
    expect(fake.processingTimers(A)).toEqual([70])
  })

  it('purges when the nested trigger purges, and fires at any timer', () => {
    expect(ProcessingTimeoutTrigger.of(new ScriptedTrigger([PURGE]), 50).onEventTime(1, A, context())).toBe(FIRE_AND_PURGE)
    expect(ProcessingTimeoutTrigger.of(new ScriptedTrigger([CONTINUE]), 50).onEventTime(1, A, context())).toBe(FIRE)
    expect(ProcessingTimeoutTrigger.of(PurgingTrigger.of(ProcessingTimeTrigger.create()), 50).onProcessingTime(1, A, context())).toBe(FIRE_AND_PURGE)
  })

  it('does not merge, and clears the nested trigger too', () => {
    const trigger = ProcessingTimeoutTrigger.of(EventTimeTrigger.create(), 50)
    expect(trigger.canMerge()).toBe(false)
    trigger.onElement('x', 0, A, context())
    expect([fake.eventTimers(A), fake.processingTimers(A)]).toEqual([[99], [50]])
    trigger.clear(A, context())
    expect([fake.eventTimers(A), fake.processingTimers(A)]).toEqual([[], []])
  })
})

describe('triggers of global windows', () => {
  const g = GlobalWindow.INSTANCE

  it('NeverTrigger never fires', () => {
    const trigger = NeverTrigger.create()
    expect([trigger.onElement(), trigger.onEventTime(), trigger.onProcessingTime()]).toEqual([CONTINUE, CONTINUE, CONTINUE])
  })

  it('EndOfStreamTrigger fires with the last watermark', () => {
    const trigger = EndOfStreamTrigger.create()
    expect(trigger.onElement('x', NO_TIMESTAMP, g, fake.for(g))).toBe(CONTINUE)
    expect(fake.eventTimers(g)).toEqual([MAX_WATERMARK])
    expect(trigger.onEventTime(MAX_WATERMARK, g)).toBe(FIRE)
    expect(trigger.onEventTime(5, g)).toBe(CONTINUE)
  })
})

describe('Trigger types', () => {
  it('let a trigger of wider elements and windows stand in', () => {
    expectTypeOf(CountTrigger.of(1)).toExtend<Trigger<string, TimeWindow>>()
    expectTypeOf(CountTrigger.of(1)).toExtend<Trigger<string, GlobalWindow>>()
    expectTypeOf(EventTimeTrigger.create()).not.toExtend<Trigger<string, GlobalWindow>>()
    expectTypeOf(PurgingTrigger.of(EventTimeTrigger.create())).toExtend<Trigger<string, TimeWindow>>()
    expectTypeOf(DeltaTrigger.of<number>(1, (a, b) => a - b)).not.toExtend<Trigger<string, TimeWindow>>()
  })
})

/** Answers timers with the given results, one after the other. */
class ScriptedTrigger extends Trigger<unknown, TimeWindow> {
  constructor(readonly results: TriggerResult[]) {
    super()
  }
  onElement(): TriggerResult {
    return CONTINUE
  }
  onProcessingTime(): TriggerResult {
    return this.results.shift() ?? CONTINUE
  }
  onEventTime(): TriggerResult {
    return this.results.shift() ?? CONTINUE
  }
  clear(): void {}
}
