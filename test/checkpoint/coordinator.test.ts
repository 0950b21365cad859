import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type CoordinatorConfig,
  type CoordinatorState,
  decideTrigger,
  nextTimeoutMs,
  onAck,
  onDecline,
  onRestart,
  onStored,
  onTimeout,
  onTriggered,
  startCoordinator,
  type TriggerReason,
} from '../../runtime/checkpoint/index.js'

const CONFIG: CoordinatorConfig = { intervalMs: 100, minPauseMs: 0, timeoutMs: 1000, maxConcurrent: 1, tolerableFailures: 0 }
const SUBTASKS = ['a', 'b']

function trigger(state: CoordinatorState, now: number, reason: TriggerReason = 'periodic', config = CONFIG): CoordinatorState {
  expect(decideTrigger(state, config, now, reason)).toEqual({ kind: 'trigger', id: state.nextId })
  return onTriggered(state, reason, SUBTASKS, now)
}

function acknowledged(state: CoordinatorState, id: number): CoordinatorState {
  const first = onAck(state, id, 'a')
  expect(first.outcome).toEqual({ kind: 'pending' })
  const second = onAck(first.state, id, 'b')
  expect(second.outcome).toEqual({ kind: 'acknowledged' })
  return second.state
}

describe('coordinator', () => {
  it('triggers at each interval, counted from the start', () => {
    const state = startCoordinator(7, 1000)
    expect(decideTrigger(state, CONFIG, 1099, 'periodic')).toEqual({ kind: 'wait', untilMs: 1100 })
    const stored = onStored(acknowledged(trigger(state, 1100), 7), 7, 1150)
    expect(stored.outcome).toEqual({ kind: 'completed', aborted: [] })
    expect(stored.state).toMatchObject({ lastCompletedId: 7, nextId: 8, completed: 1, pending: [] })
    expect(decideTrigger(stored.state, CONFIG, 1150, 'periodic')).toEqual({ kind: 'wait', untilMs: 1200 })
  })

  it('keeps the least pause after the end of the last one, but not for a savepoint', () => {
    const config = { ...CONFIG, minPauseMs: 500 }
    const { state } = onStored(acknowledged(trigger(startCoordinator(1, 0), 100), 1), 1, 300)
    expect(decideTrigger(state, config, 799, 'periodic')).toEqual({ kind: 'wait', untilMs: 800 })
    expect(decideTrigger(state, config, 800, 'periodic').kind).toBe('trigger')
    expect(decideTrigger(state, config, 301, 'savepoint').kind).toBe('trigger')
  })

  it('waits while as many as may be are in progress, until the next timeout at the latest', () => {
    const state = trigger(startCoordinator(1, 0), 100)
    expect(decideTrigger(state, CONFIG, 5000, 'periodic')).toEqual({ kind: 'wait', untilMs: 1100 })
    expect(decideTrigger(state, CONFIG, 150, 'savepoint')).toEqual({ kind: 'wait', untilMs: 1100 })
    expect(decideTrigger(state, { ...CONFIG, maxConcurrent: 2 }, 200, 'periodic')).toEqual({ kind: 'trigger', id: 2 })
    expect(decideTrigger(acknowledged(state, 1), CONFIG, 150, 'savepoint')).toEqual({ kind: 'wait', untilMs: Number.POSITIVE_INFINITY })
  })

  it('refuses periodic ones when they are off, and any when the job is stopping or has stopped', () => {
    const off = { ...CONFIG, intervalMs: 0 }
    expect(decideTrigger(startCoordinator(1, 0), off, 1e9, 'periodic').kind).toBe('refuse')
    expect(decideTrigger(startCoordinator(1, 0), off, 0, 'savepoint').kind).toBe('trigger')
    const two = { ...CONFIG, maxConcurrent: 2 }
    const stopping = trigger(startCoordinator(1, 0), 5, 'stop', two)
    for (const reason of ['periodic', 'savepoint', 'stop', 'final'] as const) {
      expect(decideTrigger(stopping, two, 1e6, reason).kind).toBe('refuse')
      expect(decideTrigger(onStored(acknowledged(stopping, 1), 1, 10).state, two, 1e6, reason).kind).toBe('refuse')
    }
    // A stop that failed can be asked for again.
    expect(decideTrigger(onDecline(stopping, two, 1, 10).state, two, 20, 'stop').kind).toBe('trigger')
  })

  it('an ack from a stranger, a second one, and one for another checkpoint are late', () => {
    const state = onAck(trigger(startCoordinator(1, 0), 100), 1, 'a').state
    for (const [id, subtask] of [
      [1, 'a'],
      [1, 'c'],
      [2, 'b'],
    ] as const)
      expect(onAck(state, id, subtask)).toEqual({ state, outcome: { kind: 'late' } })
    expect(onStored(state, 1, 200).outcome).toEqual({ kind: 'late' })
  })

  it('a completed checkpoint aborts older periodic ones, which are no failures; savepoints go on', () => {
    const config = { ...CONFIG, maxConcurrent: 4 }
    let state = trigger(startCoordinator(1, 0), 100, 'periodic', config)
    state = trigger(state, 101, 'savepoint', config)
    state = trigger(state, 200, 'periodic', config)
    state = trigger(state, 300, 'periodic', config)
    const { state: after, outcome } = onStored(acknowledged(state, 3), 3, 350)
    expect(outcome).toEqual({ kind: 'completed', aborted: [{ id: 1, reason: 'periodic', why: 'subsumed' }] })
    expect(after).toMatchObject({ failed: 0, failuresInARow: 0 })
    expect(after.pending.map((p) => p.id)).toEqual([2, 4])
    expect(onAck(after, 1, 'a').outcome.kind).toBe('late')
    const saved = onStored(acknowledged(after, 2), 2, 400)
    expect(saved.state.lastCompletedId).toBe(3)
  })

  it('a savepoint aborts nothing and is not what a restart goes back to', () => {
    const config = { ...CONFIG, maxConcurrent: 2 }
    const state = trigger(trigger(startCoordinator(1, 0), 100, 'periodic', config), 101, 'savepoint', config)
    const stored = onStored(acknowledged(state, 2), 2, 150)
    expect(stored.outcome).toEqual({ kind: 'completed', aborted: [] })
    expect(stored.state.lastCompletedId).toBeUndefined()
    expect(stored.state.pending.map((p) => p.id)).toEqual([1])
  })

  it('one whose manifest is being written is aborted neither by time nor by a newer one', () => {
    const config = { ...CONFIG, maxConcurrent: 2 }
    let state = acknowledged(trigger(startCoordinator(1, 0), 100, 'periodic', config), 1)
    expect(onTimeout(state, config, 1e9).aborted).toEqual([])
    expect(nextTimeoutMs(state, config)).toBe(Number.POSITIVE_INFINITY)
    state = onStored(acknowledged(trigger(state, 200, 'periodic', config), 2), 2, 250).state
    const late = onStored(state, 1, 260)
    expect(late.outcome).toEqual({ kind: 'completed', aborted: [] })
    expect(late.state.lastCompletedId).toBe(2)
    // Writing it may still fail.
    expect(onDecline(state, config, 1, 260).aborted).toEqual([{ id: 1, reason: 'periodic', why: 'declined' }])
  })

  it('fails the job after more failures in a row than are tolerated', () => {
    const config = { ...CONFIG, tolerableFailures: 1 }
    const first = onTimeout(trigger(startCoordinator(1, 0), 100), config, 1100)
    expect(first).toMatchObject({ aborted: [{ id: 1, why: 'timed-out' }], failJob: false })
    const second = onDecline(trigger(first.state, 1200), config, 2, 1210)
    expect(second).toMatchObject({ aborted: [{ id: 2, why: 'declined' }], failJob: true })
    const between = onStored(acknowledged(trigger(first.state, 1200), 2), 2, 1210)
    expect(onDecline(trigger(between.state, 1300), config, 3, 1310).failJob).toBe(false)
    expect(onDecline(trigger(startCoordinator(1, 0), 100), CONFIG, 1, 110).failJob).toBe(true)
    expect(onDecline(first.state, CONFIG, 1, 110)).toEqual({ state: first.state, aborted: [], failJob: false })
  })

  it('a stopped job that fails afterwards runs again and may take checkpoints, with ids that go on', () => {
    const stopped = onStored(acknowledged(trigger(startCoordinator(1, 0), 5, 'stop'), 1), 1, 10).state
    expect(decideTrigger(stopped, CONFIG, 20, 'savepoint').kind).toBe('refuse')
    expect(decideTrigger(onRestart(stopped, 15), CONFIG, 20, 'savepoint')).toEqual({ kind: 'trigger', id: 2 })
  })

  it('a savepoint or a stop that fails does not fail the job', () => {
    for (const reason of ['savepoint', 'stop'] as const) {
      expect(onDecline(trigger(startCoordinator(1, 0), 100, reason), CONFIG, 1, 110)).toMatchObject({
        failJob: false,
        state: { failuresInARow: 0, failed: 1 },
      })
    }
    expect(onDecline(trigger(startCoordinator(1, 0), 100, 'final'), CONFIG, 1, 110).failJob).toBe(true)
  })
})

// fast-check's own default size stops at about ten elements, too few for a history.
const event = fc.oneof(
  fc.record({
    kind: fc.constant('trigger' as const),
    reason: fc.constantFrom<TriggerReason>('periodic', 'periodic', 'periodic', 'periodic', 'savepoint', 'stop', 'final'),
  }),
  fc.record({ kind: fc.constant('ack' as const), back: fc.nat(4), subtask: fc.constantFrom('a', 'b') }),
  fc.record({ kind: fc.constant('ack' as const), back: fc.nat(1), subtask: fc.constantFrom('a', 'b') }),
  fc.record({ kind: fc.constant('stored' as const), back: fc.nat(4) }),
  fc.record({ kind: fc.constant('decline' as const), back: fc.nat(4) }),
  fc.record({ kind: fc.constant('timeout' as const) }),
  fc.record({ kind: fc.constant('restart' as const) }),
)
const config = fc.record({
  intervalMs: fc.constantFrom(0, 1, 20),
  minPauseMs: fc.constantFrom(0, 30),
  timeoutMs: fc.constantFrom(5, 100),
  maxConcurrent: fc.integer({ min: 1, max: 3 }),
  tolerableFailures: fc.nat(2),
})

describe('coordinator, any order of events', () => {
  it('ids rise; never more than the maximum; a checkpoint ends once and an aborted one never completes; time and pause are kept', () => {
    fc.assert(
      fc.property(config, fc.array(fc.tuple(event, fc.nat(40)), { maxLength: 120, size: 'max' }), (c, events) => {
        let state = startCoordinator(1, 0)
        let now = 0
        let lastId = 0
        let lastEnd = Number.NEGATIVE_INFINITY
        let completedCheckpoint = -1
        let jobEnded = false
        const live = new Map<number, Set<string>>()
        const over = new Set<number>()
        const end = (id: number) => {
          expect(live.delete(id)).toBe(true)
          expect(over.has(id)).toBe(false)
          over.add(id)
          lastEnd = now
        }
        for (const [e, pause] of events) {
          now += pause
          const before = structuredClone(state)
          const given = state
          if (e.kind === 'trigger') {
            const decision = decideTrigger(state, c, now, e.reason)
            if (decision.kind === 'trigger') {
              expect(jobEnded).toBe(false)
              expect(decision.id).toBeGreaterThan(lastId)
              if (e.reason === 'periodic') expect(now - lastEnd).toBeGreaterThanOrEqual(c.minPauseMs)
              lastId = decision.id
              state = onTriggered(state, e.reason, SUBTASKS, now)
              live.set(decision.id, new Set(SUBTASKS))
            } else if (decision.kind === 'wait') expect(decision.untilMs > now || nextTimeoutMs(state, c) <= now).toBe(true)
          } else if (e.kind === 'ack') {
            const id = lastId - e.back
            const result = onAck(state, id, e.subtask)
            const awaited = live.get(id)?.delete(e.subtask) ?? false
            expect(result.outcome.kind).toBe(awaited ? (live.get(id)?.size === 0 ? 'acknowledged' : 'pending') : 'late')
            state = result.state
          } else if (e.kind === 'stored') {
            const id = lastId - e.back
            const result = onStored(state, id, now)
            expect(result.outcome.kind).toBe(live.get(id)?.size === 0 ? 'completed' : 'late')
            if (result.outcome.kind === 'completed') {
              const reason = before.pending.find((p) => p.id === id)?.reason
              end(id)
              if (reason !== 'savepoint') completedCheckpoint = Math.max(completedCheckpoint, id)
              if (reason === 'stop' || reason === 'final') jobEnded = true
              for (const a of result.outcome.aborted) {
                expect(a.id).toBeLessThan(id)
                end(a.id)
              }
              expect(result.state.failuresInARow).toBe(0)
            }
            state = result.state
            expect(state.lastCompletedId).toBe(completedCheckpoint < 0 ? undefined : completedCheckpoint)
          } else if (e.kind === 'restart') {
            state = onRestart(state, now)
            for (const id of [...live.keys()]) end(id)
            lastEnd = Number.NEGATIVE_INFINITY
            // A job that failed while its sinks committed runs again.
            jobEnded = false
          } else {
            const result = e.kind === 'timeout' ? onTimeout(state, c, now) : onDecline(state, c, lastId - e.back, now)
            for (const a of result.aborted) end(a.id)
            if (result.failJob) expect(result.state.failuresInARow).toBeGreaterThan(c.tolerableFailures)
            state = result.state
            if (e.kind === 'timeout') expect(nextTimeoutMs(state, c)).toBeGreaterThan(now)
          }
          expect(given).toEqual(before)
          expect(state.pending.map((p) => p.id)).toEqual([...live.keys()])
          expect(state.pending.length).toBeLessThanOrEqual(c.maxConcurrent)
        }
      }),
      { numRuns: 400 },
    )
  })
})
