import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type AnyStateDescriptor,
  aggregatingState,
  ListStateDescriptor,
  listState,
  MapStateDescriptor,
  mapState,
  reducingState,
  type StateTtlConfig,
  ValueStateDescriptor,
  valueState,
} from '../../runtime/core/index.js'
import { decodeSegment, KeyedStateBackend, StateScope, stateHandle } from '../../runtime/state/index.js'

const RANGE = { first: 0, last: 127 }

class Machine {
  now = 0
  backend = new KeyedStateBackend(128, RANGE, () => this.now)
  constructor() {
    this.backend.tracking = true
  }
  key(key: string): this {
    this.backend.setCurrentKey(key)
    return this
  }
  // biome-ignore lint/suspicious/noExplicitAny: a handle of whatever kind
  handle(descriptor: AnyStateDescriptor): any {
    return stateHandle(new StateScope(this.backend), descriptor)
  }
  /** Goes on in a new backend, as after a restore. */
  restored(...segments: (Uint8Array | undefined)[]): Machine {
    const next = new Machine()
    next.now = this.now
    next.backend.restore(segments.filter((bytes) => bytes !== undefined).map((bytes) => decodeSegment(bytes, 'test')))
    next.key('a')
    return next
  }
}

const value = (ttl: StateTtlConfig) => new ValueStateDescriptor<number>('v', { ttl })

describe('a value', () => {
  it('expires ttlMs after it was written', () => {
    const m = new Machine().key('a')
    const state = m.handle(value({ ttlMs: 100 }))
    state.update(1)
    m.now = 99
    expect(state.value()).toBe(1)
    state.update(2)
    m.now = 198
    expect(state.value()).toBe(2)
    m.now = 199
    expect(state.value()).toBeNull()
    expect(m.backend.entries).toBe(0)
  })

  it('is renewed by reading where that is said', () => {
    const m = new Machine().key('a')
    const state = m.handle(value({ ttlMs: 100, update: 'read-write' }))
    state.update(1)
    for (m.now = 90; m.now < 1_000; m.now += 90) expect(state.value()).toBe(1)
    m.now += 10
    expect(state.value()).toBeNull()
  })

  it('gives the default again after it has expired', () => {
    const m = new Machine().key('a')
    const state = m.handle(new ValueStateDescriptor('v', { ttl: { ttlMs: 10 }, defaultValue: 7 }))
    state.update(1)
    m.now = 10
    expect(state.value()).toBe(7)
  })

  it('that has expired can be read once, without background clean-up only', () => {
    for (const [cleanupInBackground, found] of [
      [false, 1],
      [true, null],
    ] as const) {
      const m = new Machine().key('a')
      const state = m.handle(value({ ttlMs: 100, visibility: 'return-expired', cleanupInBackground }))
      state.update(1)
      m.now = 500
      expect(state.value()).toBe(found)
      expect(state.value()).toBeNull()
    }
  })
})

describe('collections', () => {
  it('have a time for each element of a list', () => {
    const m = new Machine().key('a')
    const list = m.handle(listState<string>({ name: 'l', ttl: { ttlMs: 100 } }))
    list.add('old')
    m.now = 60
    list.addAll(['new', 'newer'])
    m.now = 100
    expect([...list.get()]).toEqual(['new', 'newer'])
    m.now = 160
    expect([...list.get()]).toEqual([])
    expect(m.backend.entries).toBe(0)
  })

  it('have a time for each entry of a map', () => {
    const m = new Machine().key('a')
    const map = m.handle(mapState<string, number>({ name: 'm', ttl: { ttlMs: 100, cleanupInBackground: false } }))
    map.put('old', 1)
    m.now = 60
    map.putAll([['new', 2]])
    m.now = 100
    expect(map.get('old')).toBeUndefined()
    expect(map.has('old')).toBe(false)
    expect([...map.keys()]).toEqual(['new'])
    expect([...map.entries()]).toEqual([['new', 2]])
    m.now = 160
    expect(map.isEmpty()).toBe(false) // Flink's rule: nobody has met the expired entry
    expect([...map.values()]).toEqual([])
    expect(map.isEmpty()).toBe(true)
  })

  it('reduce and aggregate from the beginning again', () => {
    const m = new Machine().key('a')
    const sum = m.handle(reducingState<number>((a, b) => a + b, { name: 'r', ttl: { ttlMs: 100 } }))
    const mean = m.handle(
      aggregatingState<number, [number, number], number>(
        { createAccumulator: () => [0, 0], add: (v, [s, n]) => [s + v, n + 1], getResult: ([s, n]) => s / n },
        { name: 'g', ttl: { ttlMs: 100 } },
      ),
    )
    for (const v of [1, 3]) {
      sum.add(v)
      mean.add(v)
    }
    m.now = 99
    expect([sum.get(), mean.get()]).toEqual([4, 2])
    m.now = 100
    expect([sum.get(), mean.get()]).toEqual([null, null])
    sum.add(5)
    mean.add(5)
    m.now = 199
    sum.add(6)
    m.now = 250 // renewed by the writing at 199
    expect([sum.get(), mean.get()]).toEqual([11, null])
  })
})

describe('clean-up', () => {
  it('removes rows of keys that nobody asks for', () => {
    const m = new Machine()
    const state = m.handle(value({ ttlMs: 100 }))
    for (let i = 0; i < 50; i++) m.key(`k${i}`) && state.update(i)
    m.now = 100
    m.key('other')
    for (let i = 0; i < 12; i++) state.value()
    expect(m.backend.entries).toBe(0)
  })

  it('goes through a large map a few entries at a time', () => {
    const m = new Machine().key('a')
    const map = m.handle(mapState<number, number>({ name: 'm', ttl: { ttlMs: 100 } }))
    for (let i = 0; i < 100; i++) map.put(i, i)
    m.now = 150
    map.put(-1, 0)
    for (let i = 0; i < 25; i++) map.get(-1)
    const rows = [...m.backend.table(mapState({ name: 'm', ttl: { ttlMs: 100 } })).entries()]
    expect([...(rows[0].value as Map<unknown, unknown>).keys()]).toEqual([-1])
  })

  it('does nothing when it is off', () => {
    const m = new Machine()
    const state = m.handle(value({ ttlMs: 100, cleanupInBackground: false }))
    for (let i = 0; i < 10; i++) m.key(`k${i}`) && state.update(i)
    m.now = 100
    m.key('other')
    for (let i = 0; i < 20; i++) state.value()
    expect(m.backend.entries).toBe(10)
  })
})

describe('snapshots', () => {
  it('keep the times', () => {
    const m = new Machine().key('a')
    const descriptors = [
      value({ ttlMs: 100 }),
      new ListStateDescriptor<string>('l', { ttl: { ttlMs: 100 } }),
      new MapStateDescriptor<string, number>('m').enableTimeToLive({ ttlMs: 100 }),
    ] as const
    const [v, l, map] = descriptors.map((d) => m.handle(d))
    v.update(1)
    l.add('x')
    map.put('k', 1)
    const base = m.backend.snapshotAll()
    m.now = 50
    l.add('y')
    map.put('k2', 2)
    const after = m.restored(base, m.backend.snapshotChanges())
    const [v2, l2, map2] = descriptors.map((d) => after.handle(d))
    after.now = 99
    expect([v2.value(), [...l2.get()], [...map2.keys()]]).toEqual([1, ['x', 'y'], ['k', 'k2']])
    after.now = 100
    expect([v2.value(), [...l2.get()], [...map2.keys()]]).toEqual([null, ['y'], ['k2']])
  })

  it('that are whole leave out what has expired, and so does a restore', () => {
    const m = new Machine().key('a')
    const state = m.handle(value({ ttlMs: 100 }))
    state.update(1)
    m.key('b')
    m.now = 60
    state.update(2)
    m.now = 100
    const base = m.backend.snapshotAll() as Uint8Array
    expect(decodeSegment(base, 'test').header.rows).toBe(2 - 1)
    const after = m.restored(base)
    after.now = 160
    after.handle(value({ ttlMs: 100 }))
    expect(after.backend.entries).toBe(0)
  })

  it('may be read with another time to live, with none, or with one for the first time', () => {
    const plain = new ValueStateDescriptor<number>('v')
    const m = new Machine().key('a')
    m.handle(plain).update(1)
    m.now = 1_000
    const timed = m.restored(m.backend.snapshotAll())
    const state = timed.handle(value({ ttlMs: 100 }))
    timed.now = 1_099
    expect(state.value()).toBe(1)
    const longer = timed.restored(timed.backend.snapshotAll())
    longer.now = 1_500
    expect(longer.handle(value({ ttlMs: 1_000 })).value()).toBe(1)
    const untimed = longer.restored(longer.backend.snapshotAll())
    untimed.now = 1e9
    expect(untimed.handle(plain).value()).toBe(1)
  })
})

it('refuses what is no time, and one state with and without', () => {
  expect(() => value({ ttlMs: 0 })).toThrowError(/OPTION_INVALID.*ttlMs of state "v"/)
  expect(() => valueState().enableTimeToLive({ ttlMs: Number.NaN })).toThrowError(/OPTION_INVALID/)
  const m = new Machine().key('a')
  m.handle(new ValueStateDescriptor<number>('v'))
  expect(() => m.handle(value({ ttlMs: 1 }))).toThrowError(/STATE_DESCRIPTOR/)
})

/** The rules said plainly: a map of what was written when, and nothing is ever removed but by being overwritten. */
it('agrees with a naive model, over restores', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('write' as const), key: fc.constantFrom('a', 'b', 'c'), entry: fc.nat(3), n: fc.nat(99) }),
    fc.record({ do: fc.constant('read' as const), key: fc.constantFrom('a', 'b', 'c'), entry: fc.nat(3) }),
    fc.record({ do: fc.constant('scan' as const), key: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }),
    ...(['base', 'delta', 'restore'] as const).map((kind) => fc.constant({ do: kind })),
  )
  fc.assert(
    fc.property(
      fc.constantFrom('create-write' as const, 'read-write' as const),
      fc.boolean(),
      fc.array(step, { maxLength: 60 }),
      (update, cleanupInBackground, steps) => {
        const descriptor = new MapStateDescriptor<number, number>('m', { ttl: { ttlMs: 100, update, cleanupInBackground } })
        const single = new ValueStateDescriptor<number>('v', { ttl: { ttlMs: 100, update, cleanupInBackground } })
        let m = new Machine()
        let map = m.handle(descriptor)
        let one = m.handle(single)
        let segments: (Uint8Array | undefined)[] = []
        const model = new Map<string, { n: number; at: number }>()
        const look = (place: string): number | undefined => {
          const found = model.get(place)
          if (found === undefined || found.at + 100 <= m.now) return undefined
          if (update === 'read-write') found.at = m.now
          return found.n
        }
        for (const s of steps) {
          if (s.do === 'wait') m.now += s.ms
          else if (s.do === 'base') segments = [m.backend.snapshotAll()]
          else if (s.do === 'delta') segments.push(m.backend.snapshotChanges())
          else if (!('key' in s)) {
            segments.push(m.backend.snapshotChanges())
            m = m.restored(...segments)
            map = m.handle(descriptor)
            one = m.handle(single)
            segments = [m.backend.snapshotAll()]
          } else {
            m.key(s.key)
            if (s.do === 'write') {
              map.put(s.entry, s.n)
              one.update(s.n)
              model.set(`${s.key} ${s.entry}`, { n: s.n, at: m.now })
              model.set(s.key, { n: s.n, at: m.now })
            } else if (s.do === 'read') {
              expect(map.get(s.entry)).toBe(look(`${s.key} ${s.entry}`))
              expect(one.value()).toBe(look(s.key) ?? null)
            } else {
              const expected = [0, 1, 2, 3].flatMap((entry) => {
                const n = look(`${s.key} ${entry}`)
                return n === undefined ? [] : [[entry, n]]
              })
              expect([...map.entries()].sort(([x], [y]) => x - y)).toEqual(expected)
              if (cleanupInBackground) expect(map.isEmpty()).toBe(expected.length === 0)
            }
          }
        }
      },
    ),
    { numRuns: 300 },
  )
})
