import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TimeWindow } from '../../runtime/core/index.js'
import { type Namespace, SweepBudget, type Timer, TimerQueue } from '../../runtime/state/index.js'

function namespace(n: number): Namespace {
  return n === 0 ? null : new TimeWindow(n, n + 10)
}

interface Spec {
  readonly time: number
  readonly key: string
  readonly n: number
}

const spec = fc.record({
  time: fc.oneof(fc.nat(12), fc.constantFrom(-5, 0.5, Number.POSITIVE_INFINITY)),
  key: fc.constantFrom('a', 'b', 'c'),
  n: fc.nat(3),
})

// fast-check's own default size stops at about ten elements, too few for a history.
const operation = fc.oneof(
  fc.record({ kind: fc.constant('register' as const), spec }),
  fc.record({ kind: fc.constant('delete' as const), spec }),
  // What firing does: each fired timer takes the next of these, so that registering during firing ends.
  fc.record({
    kind: fc.constant('advance' as const),
    to: fc.oneof(fc.nat(14), fc.constant(Number.POSITIVE_INFINITY)),
    meanwhile: fc.array(fc.record({ kind: fc.constantFrom('register', 'delete'), spec }), { maxLength: 6 }),
  }),
  fc.record({ kind: fc.constant('take' as const) }),
)

const name = (t: Spec) => `${t.time}|${t.key}|${t.n}`
const nameOfTimer = (t: Pick<Timer, 'time' | 'key' | 'namespace'>) =>
  `${t.time}|${String(t.key)}|${t.namespace === null ? 0 : (t.namespace as TimeWindow).start}`

describe('TimerQueue', () => {
  it('behaves as a sorted list, also when timers are registered and deleted during firing, and its changes replayed give its contents', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80, size: 'max' }), (operations) => {
        const queue = new TimerQueue()
        queue.tracking = true
        const model = new Map<string, number>()
        const replayed = new Set<string>()
        const apply = (kind: string, s: Spec) => {
          if (kind === 'register') {
            expect(queue.register(s.time, s.key, namespace(s.n))).toBe(!model.has(name(s)))
            model.set(name(s), s.time)
          } else expect(queue.delete(s.time, s.key, namespace(s.n))).toBe(model.delete(name(s)))
        }
        for (const op of operations) {
          if (op.kind === 'take') {
            const { rows, tombstones } = queue.takeChanges()
            for (const timer of tombstones) replayed.delete(nameOfTimer(timer as Timer))
            for (const timer of rows) replayed.add(nameOfTimer(timer))
            expect([...replayed].sort()).toEqual([...model.keys()].sort())
          } else if (op.kind === 'advance') {
            const meanwhile = [...op.meanwhile]
            queue.advance(op.to, (timer) => {
              // The earliest there is at this moment, and due.
              expect(timer.time).toBe(Math.min(...model.values()))
              expect(timer.time).toBeLessThanOrEqual(op.to)
              expect(model.delete(nameOfTimer(timer))).toBe(true)
              const next = meanwhile.shift()
              if (next !== undefined) apply(next.kind, next.spec)
            })
            expect([...model.values()].every((time) => time > op.to)).toBe(true)
          } else apply(op.kind, op.spec)
          expect(queue.size).toBe(model.size)
          expect(queue.nextTime).toBeLessThanOrEqual(Math.min(Number.POSITIVE_INFINITY, ...model.values()))
        }
        expect([...queue.timers()].map(nameOfTimer).sort()).toEqual([...model.keys()].sort())
      }),
      { numRuns: 300 },
    )
  })

  it('a sweep in parts fires in the order of a whole one, whatever is registered and deleted meanwhile', () => {
    const meanwhile = fc.array(fc.record({ kind: fc.constantFrom('register', 'delete'), spec }), { maxLength: 40, size: 'max' })
    fc.assert(
      fc.property(
        fc.array(spec, { maxLength: 40, size: 'max' }),
        meanwhile,
        fc.array(fc.nat(14), { maxLength: 4 }),
        fc.integer({ min: 1, max: 7 }),
        (specs, changes, stops, part) => {
          const fired = (limit: number): string[] => {
            const budget = new SweepBudget()
            const queue = new TimerQueue(budget)
            for (const s of specs) queue.register(s.time, s.key, namespace(s.n))
            const left = [...changes]
            const names: string[] = []
            const fire = (timer: Timer) => {
              names.push(nameOfTimer(timer))
              const next = left.shift()
              if (next === undefined) return
              if (next.kind === 'register') queue.register(next.spec.time, next.spec.key, namespace(next.spec.n))
              else queue.delete(next.spec.time, next.spec.key, namespace(next.spec.n))
            }
            for (const to of [...stops.sort((a, b) => a - b), Number.POSITIVE_INFINITY]) {
              for (;;) {
                budget.left = limit
                const count = names.length
                if (queue.advance(to, fire)) break
                expect(names.length - count).toBe(limit)
                expect(queue.nextTime).toBeLessThanOrEqual(to)
              }
              names.push(`up to ${to}`)
            }
            expect(queue.size).toBe(0)
            return names
          }
          expect(fired(part)).toEqual(fired(Number.POSITIVE_INFINITY))
        },
      ),
      { numRuns: 400 },
    )
  })

  it('a sweep that uses its budget up with the last timer has finished', () => {
    const budget = new SweepBudget()
    const queue = new TimerQueue(budget)
    for (const key of ['a', 'b', 'c']) queue.register(1, key, null)
    const fired: unknown[] = []
    const fire = (timer: Timer) => fired.push(timer.key)
    budget.left = 0
    expect(queue.advance(1, fire)).toBe(false)
    budget.left = 2
    expect(queue.advance(1, fire)).toBe(false)
    expect(fired).toEqual(['a', 'b'])
    budget.left = 1
    expect(queue.advance(1, fire)).toBe(true)
    expect(fired).toEqual(['a', 'b', 'c'])
    expect(queue.advance(1, fire)).toBe(true)
  })

  it('while it is suspended nothing fires, and a sweep counts as finished', () => {
    const budget = new SweepBudget()
    const queue = new TimerQueue(budget)
    queue.register(1, 'a', null)
    budget.suspended = true
    expect(queue.advance(5, () => expect.unreachable())).toBe(true)
    budget.suspended = false
    const fired: unknown[] = []
    queue.advance(5, (timer) => fired.push(timer.key))
    expect(fired).toEqual(['a'])
  })

  it('fires many times in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { maxLength: 300, size: 'max' }),
        fc.array(fc.nat(), { maxLength: 100, size: 'max' }),
        (times, deletions) => {
          const queue = new TimerQueue()
          for (const time of times) queue.register(time, 'k', null)
          const left = new Set(times)
          for (const at of deletions) {
            const time = times[at % Math.max(1, times.length)]
            if (left.delete(time)) queue.delete(time, 'k', null)
          }
          const fired: number[] = []
          queue.advance(Number.POSITIVE_INFINITY, (timer) => fired.push(timer.time))
          expect(fired).toEqual([...left].sort((a, b) => a - b))
        },
      ),
      { numRuns: 200 },
    )
  })

  it('a timeout that is moved on with every record takes neither memory nor time', () => {
    const queue = new TimerQueue()
    for (let key = 0; key < 10; key++) queue.register(key, key, null)
    for (let round = 1; round <= 20_000; round++) {
      const key = round % 10
      queue.delete(round < 11 ? key : round - 10 + 1_000, key, null)
      queue.delete(key, key, null)
      queue.register(round + 1_000, key, null)
    }
    expect(queue.size).toBe(10)
    // Times without timers were dropped: the earliest known one is near the earliest that is left.
    expect(queue.nextTime).toBeGreaterThan(20_000 - 1_500 + 1_000 - 1_024)
    for (let round = 0; round < 200_000; round++) {
      queue.register(5, 'k', null)
      queue.delete(5, 'k', null)
    }
    expect(queue.size).toBe(10)
  })

  it('names no time of which all timers were deleted', () => {
    const queue = new TimerQueue()
    for (let time = 1; time <= 500; time++) {
      queue.register(time, 'k', null)
      if (time > 1) queue.delete(time - 1, 'k', null)
    }
    expect(queue.nextTime).toBe(500)
    queue.register(3, 'other', null)
    queue.register(2, 'other', null)
    queue.delete(3, 'other', null)
    expect(queue.nextTime).toBe(2)
    queue.delete(2, 'other', null)
    expect(queue.nextTime).toBe(500)
    queue.delete(500, 'k', null)
    expect(queue.nextTime).toBe(Number.POSITIVE_INFINITY)
  })

  it('an exception from a timer leaves the others to fire later', () => {
    const queue = new TimerQueue()
    for (const key of ['a', 'b', 'c']) queue.register(1, key, null)
    const fired: unknown[] = []
    const fire = (timer: Timer) => {
      fired.push(timer.key)
      if (timer.key === 'b' && fired.length === 2) throw new Error('once')
    }
    expect(() => queue.advance(5, fire)).toThrow('once')
    queue.advance(5, fire)
    expect(fired).toEqual(['a', 'b', 'c'])
  })
})
