import { describe, expect, it } from 'vitest'
import {
  type AnyStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  type Serde,
  TimeWindow,
  ValueStateDescriptor,
} from '../../runtime/core/index.js'
import { decodeSegment, KeyedStateBackend, StateScope, StateTable, stateHandle } from '../../runtime/state/index.js'

const LIST = new ListStateDescriptor<number>('list')
const MAP = new MapStateDescriptor<string, number>('map')

function backendOf(log: readonly (Uint8Array | undefined)[], now: () => number = () => 0): KeyedStateBackend {
  const backend = new KeyedStateBackend(4, { first: 0, last: 3 }, now)
  backend.restore(log.filter((bytes) => bytes !== undefined).map((bytes) => decodeSegment(bytes, 'segment')))
  backend.tracking = true
  backend.namespaceCodec = {
    toData: (window) => (window as TimeWindow).start,
    fromData: (data) => new TimeWindow(data as number, (data as number) + 10),
  }
  backend.openTimers()
  backend.setCurrentKey('k')
  return backend
}

function handleOf<D extends AnyStateDescriptor>(backend: KeyedStateBackend, descriptor: D) {
  return stateHandle(new StateScope(backend), descriptor)
}

/** The magic's last character: 2 when rows are written in part. */
function formatOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes && String.fromCharCode(bytes[3])
}

const LARGE = Array.from({ length: 10_000 }, (_, i) => i)

describe('a delta follows what changed in a row, not how large the row is', () => {
  it('elements added to a list', () => {
    const backend = backendOf([])
    handleOf(backend, LIST).addAll(LARGE)
    const first = backend.snapshotChanges() as Uint8Array
    expect([formatOf(first), first.length > 10_000]).toEqual(['1', true])
    handleOf(backend, LIST).add(-1)
    handleOf(backend, LIST).add(-2)
    const delta = backend.snapshotChanges() as Uint8Array
    expect([formatOf(delta), delta.length < 400]).toEqual(['2', true])
    expect([...handleOf(backendOf([first, delta]), LIST).get()]).toEqual([...LARGE, -1, -2])
  })

  it('entries put into and removed from a map', () => {
    const backend = backendOf([])
    handleOf(backend, MAP).putAll(LARGE.map((n) => [`k${n}`, n]))
    const base = backend.snapshotAll() as Uint8Array
    handleOf(backend, MAP).put('k7', -7)
    handleOf(backend, MAP).remove('k8')
    handleOf(backend, MAP).remove('not there')
    const delta = backend.snapshotChanges() as Uint8Array
    expect([formatOf(delta), delta.length < 400]).toEqual(['2', true])
    const restored = handleOf(backendOf([base, delta]), MAP)
    expect([restored.get('k7'), restored.has('k8'), [...restored.keys()].length]).toEqual([-7, false, 9_999])
  })

  it('a set or merged row, and one that came since, is whole whatever else is done to it', () => {
    const backend = backendOf([])
    const [list, map] = [handleOf(backend, LIST), handleOf(backend, MAP)]
    list.addAll([1, 2, 3])
    map.putAll(LARGE.map((n) => [`k${n}`, n]))
    map.remove('k0')
    const first = backend.snapshotChanges()
    list.add(4)
    list.update([5])
    list.add(6)
    map.put('x', 1)
    map.clear()
    map.put('y', 2)
    const second = backend.snapshotChanges()
    expect([formatOf(first), formatOf(second)]).toEqual(['1', '1'])
    const restored = backendOf([first, second])
    expect([[...handleOf(restored, LIST).get()], [...handleOf(restored, MAP).entries()]]).toEqual([[5, 6], [['y', 2]]])
  })

  it('entries that come and go are not noted for ever', () => {
    const backend = backendOf([])
    const map = handleOf(backend, MAP)
    for (const key of ['a', 'b', 'c']) map.put(key, 1)
    const base = backend.snapshotAll()
    for (let i = 0; i < 1_000; i++) {
      map.put(`k${i}`, i)
      map.remove(`k${i}`)
    }
    const delta = backend.snapshotChanges() as Uint8Array
    expect(delta.length).toBeLessThan(400)
    expect([...handleOf(backendOf([base, delta]), MAP).keys()]).toEqual(['a', 'b', 'c'])
  })

  it('an entry of a map that reading renewed', () => {
    let now = 0
    const renewed = new MapStateDescriptor<string, number>('renewed', { ttl: { ttlMs: 10, update: 'read-write' } })
    const backend = backendOf([], () => now)
    handleOf(backend, renewed).putAll(LARGE.map((n) => [`k${n}`, n]))
    const first = backend.snapshotChanges()
    now = 5
    expect(handleOf(backend, renewed).get('k1234')).toBe(1234)
    const delta = backend.snapshotChanges() as Uint8Array
    expect([formatOf(delta), delta.length < 400]).toEqual(['2', true])
    now = 12
    expect([
      ...handleOf(
        backendOf([first, delta], () => now),
        renewed,
      ).keys(),
    ]).toEqual(['k1234'])
  })

  it('keeps the order of a map whose entries were removed and put again', () => {
    const backend = backendOf([])
    const map = handleOf(backend, MAP)
    for (const key of 'abcdefghijklmnop') map.put(key, 1)
    const base = backend.snapshotAll()
    for (const key of 'xyb') map.put(key, 2)
    for (const key of 'xa') map.remove(key)
    for (const key of 'xa') map.put(key, 3)
    const delta = backend.snapshotChanges()
    expect(formatOf(delta)).toBe('2')
    expect([...handleOf(backendOf([base, delta]), MAP).entries()]).toEqual([...map.entries()])
    expect([...map.keys()].join('')).toBe('bcdefghijklmnopyxa')
  })
})

describe('where a part is not enough', () => {
  it('a row that was there before changes were noted is written whole', () => {
    const table = new StateTable<number[]>()
    const row = table.insert('k', null, [1, 2])
    table.tracking = true
    row.value.push(3)
    table.touchAppended(row)
    expect(table.takeChanges()).toEqual({ rows: [row], notes: [], tombstones: [] })
    row.value.push(4)
    table.touchAppended(row)
    expect(table.takeChanges().notes).toEqual([3])
  })

  it('what is known of a row stays with it when others are removed', () => {
    const table = new StateTable<number[]>()
    table.tracking = true
    const rows = [0, 1, 2, 3, 4].map((key) => table.insert(key, null, Array(key).fill(0)))
    table.takeChanges()
    for (const row of rows) {
      row.value.push(1)
      if (row.key === 2) table.touch(row)
      else table.touchAppended(row)
    }
    table.insert(5, null, [])
    const removed = [0, 3]
    for (const key of removed) table.remove(rows[key])
    const taken = table.takeChanges()
    expect(new Map(taken.rows.map(({ key }, i) => [key, taken.notes[i]]))).toEqual(
      new Map([
        [1, 1],
        [2, undefined],
        [4, 4],
        [5, undefined],
      ]),
    )
    expect(taken.tombstones.map(({ key }) => key)).toEqual(removed)
  })

  it('a map of which only expired entries are left is none', () => {
    let now = 0
    const timed = new MapStateDescriptor<string, number>('timed', { ttl: { ttlMs: 10 } })
    const before = backendOf([], () => now)
    for (const key of ['old', 'older', 'oldest']) handleOf(before, timed).put(key, 1)
    now = 8
    handleOf(before, timed).put('new', 2)
    const first = before.snapshotChanges()
    now = 12
    // Both leave out what has expired, which the instance that goes on still has: the base, and the other instance when it restores.
    const base = before.snapshotAll()
    const other = backendOf([first], () => now)
    expect(handleOf(other, timed).get('new')).toBe(2)
    // As whoever opens does: what has expired is to be written.
    expect(other.snapshotChanges()).toBeDefined()
    // Not by the handle, which would go round and clean up.
    const table = before.table(timed) as StateTable<Map<string, unknown>>
    const row = [...table.entries()][0]
    row.value.delete('new')
    table.touchRemoved(row, 'new')
    const delta = before.snapshotChanges() as Uint8Array
    expect(formatOf(delta)).toBe('2')
    other.applyChanges(decodeSegment(delta, 'delta'))
    expect(other.table(timed).size).toBe(0)
    // Also where the state no longer has a time to live.
    for (const descriptor of [timed, new MapStateDescriptor('timed')]) {
      expect(backendOf([base, delta], () => now).table(descriptor).size).toBe(0)
    }
  })

  it('what has expired when it is read goes from the log with the next change', () => {
    let now = 0
    const value = new ValueStateDescriptor<number>('value', { ttl: { ttlMs: 10 } })
    const map = new MapStateDescriptor<string, number>('map', { ttl: { ttlMs: 10 } })
    const list = new ListStateDescriptor<number>('list', { ttl: { ttlMs: 10 } })
    const before = backendOf([], () => now)
    handleOf(before, value).update(1)
    handleOf(before, map).put('old', 1)
    handleOf(before, list).add(1)
    now = 8
    handleOf(before, map).put('new', 2)
    handleOf(before, list).add(2)
    const log = [before.snapshotChanges()]
    now = 12
    const opened = backendOf(log, () => now)
    for (const descriptor of [value, map, list]) opened.table(descriptor)
    log.push(opened.snapshotChanges())
    expect(opened.snapshotChanges()).toBeUndefined()
    // As the log has them now, whatever the time is.
    now = 0
    const after = backendOf(log, () => now)
    expect(after.table(value).size).toBe(0)
    expect([...handleOf(after, map).keys()]).toEqual(['new'])
    expect([...handleOf(after, list).get()]).toEqual([2])
    // And nothing is written where nothing has expired.
    for (const descriptor of [value, map, list]) after.table(descriptor)
    expect(after.snapshotChanges()).toBeUndefined()
  })

  it('rows read with an earlier version of the serde are written whole until the next base', () => {
    const version = (n: number): Serde<string> => ({
      id: 'text',
      version: n,
      encode: (value) => new TextEncoder().encode(`${n}:${value}`),
      decode: (bytes, written) => {
        const text = new TextDecoder().decode(bytes)
        expect(text.startsWith(`${written}:`)).toBe(true)
        return text.slice(2)
      },
    })
    const descriptor = (n: number) => new ListStateDescriptor<string>('texts', { serde: version(n) })
    const former = backendOf([])
    handleOf(former, descriptor(1)).add('a')
    former.setCurrentKey('untouched')
    handleOf(former, descriptor(1)).add('z')
    const backend = backendOf([former.snapshotAll()])
    // Written while nobody has asked for the state.
    const base = backend.snapshotAll()
    handleOf(backend, descriptor(2)).add('b')
    const whole = backend.snapshotChanges()
    const other = backendOf([base])
    other.applyChanges(decodeSegment(whole as Uint8Array, 'delta'))
    for (const restored of [backendOf([base, whole]), other, backendOf([other.snapshotAll()])]) {
      expect([...handleOf(restored, descriptor(2)).get()]).toEqual(['a', 'b'])
      restored.setCurrentKey('untouched')
      expect([...handleOf(restored, descriptor(2)).get()]).toEqual(['z'])
    }
    const next = backend.snapshotAll()
    handleOf(backend, descriptor(2)).add('c')
    const delta = backend.snapshotChanges()
    expect([formatOf(whole), formatOf(delta)]).toEqual(['1', '2'])
    expect([...handleOf(backendOf([next, delta]), descriptor(2)).get()]).toEqual(['a', 'b', 'c'])
  })
})

describe('format 1, without rows in part', () => {
  // Written by the version before format 2: a base, and a delta behind it.
  const BASE = [
    'TVJTMfMAAADUckCWpGtpbmSubWF4UGFyYWxsZWxpc22mc3RhdGVzpHJvd3OqbmFtZXNwYWNlc6Zncm91cHOkYmFzZQSV1HJBk6RuYW1lpGtpbmSlc2VyZGWk',
    'bGlzdKRsaXN0qnN0cnVjdHVyYWxBo21hcKNtYXC1c3RydWN0dXJhbCxzdHJ1Y3R1cmFsQaV2YWx1ZaV2YWx1ZapzdHJ1Y3R1cmFsQa4oZXZlbnQgdGltZXJz',
    'KaZ0aW1lcnOqc3RydWN0dXJhbEGzKHByb2Nlc3NpbmcgdGltZXJzKaZ0aW1lcnOqc3RydWN0dXJhbAWTwACSCQCRkwEAzECUlgCQkJKha6FrkgABkpIBApEH',
    'lgGQkJGha5EAkZKSoWGhYpIBApYCkJCRoWuRAJGkZ29uZZYDkJCRoWuRApHA/dSj1w==',
  ]
  const DELTA = [
    'TVJTMfAAAADUckCWpGtpbmSubWF4UGFyYWxsZWxpc22mc3RhdGVzpHJvd3OqbmFtZXNwYWNlc6Zncm91cHOlZGVsdGEEldRyQZOkbmFtZaRraW5kpXNlcmRl',
    'pGxpc3SkbGlzdKpzdHJ1Y3R1cmFsQaNtYXCjbWFwtXN0cnVjdHVyYWwsc3RydWN0dXJhbEGldmFsdWWldmFsdWWqc3RydWN0dXJhbEGuKGV2ZW50IHRpbWVy',
    'cymmdGltZXJzqnN0cnVjdHVyYWxBsyhwcm9jZXNzaW5nIHRpbWVycymmdGltZXJzqnN0cnVjdHVyYWwDkgDAkZMBACuTlgCQkJGha5EAkZIHCJYBkJCRoWuR',
    'AZGSkqFioWOSAgOWApGha5EBkJCQw1cbcQ==',
  ]

  it('is read, and changes in part go on from it', () => {
    const log = [BASE, DELTA].map((lines) => new Uint8Array(Buffer.from(lines.join(''), 'base64')))
    const backend = backendOf(log)
    const other = backendOf([log[0]])
    other.applyChanges(decodeSegment(log[1], 'delta'))
    handleOf(backend, LIST).add(3)
    const delta = backend.snapshotChanges() as Uint8Array
    expect(formatOf(delta)).toBe('2')
    other.applyChanges(decodeSegment(delta, 'delta'))
    for (const restored of [backendOf([...log, delta]), other]) {
      const scope = new StateScope(restored)
      expect([...stateHandle(scope, LIST).get()]).toEqual([1, 2, 3])
      expect([...stateHandle(scope, MAP).entries()]).toEqual([
        ['b', 2],
        ['c', 3],
      ])
      expect(stateHandle(scope, new ValueStateDescriptor('value')).value()).toBeNull()
      scope.namespace = new TimeWindow(0, 10)
      expect([...stateHandle(scope, LIST).get()]).toEqual([7, 8])
      expect([...restored.eventTimers.timers()].map(({ time, key }) => [time, key])).toEqual([[9, 'k']])
    }
  })
})
