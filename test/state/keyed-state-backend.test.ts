import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AggregatingStateDescriptor,
  type AnyStateDescriptor,
  ListStateDescriptor,
  MapStateDescriptor,
  ReducingStateDescriptor,
  type Serde,
  TimeWindow,
  ValueStateDescriptor,
} from '../../runtime/core/index.js'
import {
  decodeSegment,
  KeyedStateBackend,
  keyGroupOf,
  keyGroupRange,
  mergeNamespaces,
  type Namespace,
  StateScope,
  stateHandle,
  subtaskOfKeyGroup,
  toInternalKey,
} from '../../runtime/state/index.js'

const MAX = 16
const text: Serde<string> = { id: 'text', version: 1, encode: (v) => new TextEncoder().encode(v), decode: (b) => new TextDecoder().decode(b) }

const value = new ValueStateDescriptor<{ n: number; seen: Date }>('value')
const list = new ListStateDescriptor<string>('list', { serde: text })
const map = new MapStateDescriptor<{ id: number }, bigint>('map')
const sum = new ReducingStateDescriptor<number>('sum', (a, b) => a + b)
const mean = new AggregatingStateDescriptor<number, { n: number; total: number }, number>('mean', {
  createAccumulator: () => ({ n: 0, total: 0 }),
  add: (v, acc) => ({ n: acc.n + 1, total: acc.total + v }),
  getResult: (acc) => acc.total / acc.n,
})

const KEYS: readonly unknown[] = ['a', 'b', 'c', 1, 2, true, 7n, ['x', 1], { u: 'é' }, 'größe', '']

function namespaceOf(n: number): Namespace {
  return n === 0 ? null : new TimeWindow(n, n + 1)
}

/** What a key should have under one namespace. */
interface Expected {
  value?: { n: number; seen: Date }
  list: string[]
  map: Map<string, bigint>
  sum?: number
  mean?: number[]
}
type Model = Map<string, Expected>

interface Change {
  readonly key: number
  readonly n: number
  readonly state: 'value' | 'list' | 'map' | 'sum' | 'mean'
  readonly kind: 'add' | 'clear' | 'replace' | 'remove'
  readonly v: number
}

function change(backend: KeyedStateBackend, model: Model, { key, n, state, kind, v }: Change): void {
  backend.setCurrentKey(KEYS[key])
  const scope = new StateScope(backend)
  scope.namespace = namespaceOf(n)
  const at = `${key}|${n}`
  const expected: Expected = model.get(at) ?? { list: [], map: new Map() }
  model.set(at, expected)
  const clears = kind === 'clear'
  switch (state) {
    case 'value':
      stateHandle(scope, value).update(clears ? null : { n: v, seen: new Date(v) })
      expected.value = clears ? undefined : { n: v, seen: new Date(v) }
      break
    case 'list': {
      const handle = stateHandle(scope, list)
      if (clears) handle.clear()
      else if (kind === 'replace') handle.update([`r${v}`, 'ü'])
      else if (kind === 'remove') handle.addAll(handle.get())
      else handle.add(`v${v}`)
      if (clears) expected.list = []
      else if (kind === 'replace') expected.list = [`r${v}`, 'ü']
      else if (kind === 'remove') expected.list = [...expected.list, ...expected.list].slice(0, 2 * expected.list.length)
      else expected.list = [...expected.list, `v${v}`]
      break
    }
    case 'map': {
      const handle = stateHandle(scope, map)
      if (clears) handle.clear()
      else if (kind === 'remove') handle.remove({ id: v % 4 })
      else handle.put({ id: v % 4 }, BigInt(v))
      if (clears) expected.map.clear()
      else if (kind === 'remove') expected.map.delete(String(v % 4))
      else expected.map.set(String(v % 4), BigInt(v))
      break
    }
    case 'sum':
      if (clears) stateHandle(scope, sum).clear()
      else stateHandle(scope, sum).add(v)
      expected.sum = clears ? undefined : (expected.sum ?? 0) + v
      break
    case 'mean':
      if (clears) stateHandle(scope, mean).clear()
      else stateHandle(scope, mean).add(v)
      expected.mean = clears ? undefined : [...(expected.mean ?? []), v]
  }
}

const WINDOWS = 12

function check(job: Job, model: Model, timers: ReadonlySet<string>): void {
  for (let key = 0; key < KEYS.length; key++) {
    const backend = job.backendOf(KEYS[key])
    backend.setCurrentKey(KEYS[key])
    for (let n = 0; n < WINDOWS; n++) {
      const expected: Expected = model.get(`${key}|${n}`) ?? { list: [], map: new Map() }
      const scope = new StateScope(backend)
      scope.namespace = namespaceOf(n)
      expect(stateHandle(scope, value).value()).toEqual(expected.value ?? null)
      expect([...stateHandle(scope, list).get()]).toEqual(expected.list)
      expect([...stateHandle(scope, map).entries()].map(([k, v]) => [String(k.id), v])).toEqual([...expected.map])
      expect(stateHandle(scope, map).isEmpty()).toBe(expected.map.size === 0)
      expect(stateHandle(scope, sum).get()).toBe(expected.sum ?? null)
      expect(stateHandle(scope, mean).get()).toBe(
        expected.mean === undefined ? null : expected.mean.reduce((a, b) => a + b, 0) / expected.mean.length,
      )
    }
  }
  const found = job.backends.flatMap((b) =>
    [...b.eventTimers.timers()].map((t) => timerName(t.time, KEYS.map(toInternalKey).indexOf(t.key), t.namespace)),
  )
  expect(found.sort()).toEqual([...timers].sort())
}

function timerName(time: number, key: number, namespace: Namespace): string {
  return `${time}|${key}|${namespace?.id ?? ''}`
}

/** All subtasks of one operator: what a cluster does with backends, without the cluster. */
class Job {
  backends: KeyedStateBackend[]
  chains: Uint8Array[][]

  constructor(parallelism: number, former: readonly (readonly Uint8Array[])[] = []) {
    this.backends = Array.from({ length: parallelism }, (_, subtask) => {
      const backend = new KeyedStateBackend(MAX, keyGroupRange(subtask, MAX, parallelism))
      backend.restore(former.flat().map((bytes) => decodeSegment(bytes, 'segment')))
      backend.tracking = true
      backend.namespaceCodec = {
        // An object on purpose: namespaces are any plain data.
        toData: (window) => ({ start: (window as TimeWindow).start }),
        fromData: (data) => new TimeWindow((data as { start: number }).start, (data as { start: number }).start + 1),
      }
      backend.openTimers()
      return backend
    })
    this.chains = this.backends.map(() => [])
    // After a restore a chain begins anew.
    this.snapshot(true)
  }

  backendOf(key: unknown): KeyedStateBackend {
    return this.backends[subtaskOfKeyGroup(keyGroupOf(toInternalKey(key), MAX), MAX, this.backends.length)]
  }

  snapshot(base: boolean): void {
    this.backends.forEach((backend, subtask) => {
      // Both forms of a delta, also behind one another.
      const byColumns = (this.chains[subtask].length + subtask) % 2 === 0
      const segment = base ? backend.snapshotAll() : byColumns ? backend.takeDelta() : backend.snapshotChanges()
      if (base) this.chains[subtask] = []
      if (segment !== undefined) this.chains[subtask].push(segment)
    })
  }
}

const changes = fc.record({
  op: fc.constant('change' as const),
  key: fc.nat(KEYS.length - 1),
  n: fc.oneof(fc.constant(0), fc.nat(WINDOWS - 1)),
  state: fc.constantFrom('value', 'list', 'map', 'sum', 'mean'),
  kind: fc.constantFrom('add', 'add', 'clear', 'replace', 'remove'),
  v: fc.nat(100),
}) as fc.Arbitrary<Change & { readonly op: 'change' }>
const timerChange = fc.record({
  op: fc.constant('timer' as const),
  kind: fc.constantFrom('register', 'register', 'delete'),
  key: fc.nat(KEYS.length - 1),
  n: fc.nat(2),
  time: fc.oneof(fc.nat(5), fc.constant(Number.POSITIVE_INFINITY)),
})
// fast-check's own default size stops at about ten elements, too few for a history.
const operation = fc.oneof(
  { weight: 10, arbitrary: changes },
  { weight: 4, arbitrary: timerChange },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('advance' as const), to: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('snapshot' as const), base: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('restart' as const), parallelism: fc.constantFrom(1, 2, 3) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('check' as const) }) },
)

describe('KeyedStateBackend', () => {
  it('comes back from base, deltas and tombstones as it was at the last snapshot, at any parallelism', () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 10, maxLength: 120, size: 'max' }), (operations) => {
        let job = new Job(2)
        let model: Model = new Map()
        let timers = new Set<string>()
        let saved = structuredClone({ model, timers })
        for (const o of operations) {
          if (o.op === 'change') change(job.backendOf(KEYS[o.key]), model, o)
          else if (o.op === 'timer') {
            const queue = job.backendOf(KEYS[o.key]).eventTimers
            const namespace = namespaceOf(o.n)
            const name = timerName(o.time, o.key, namespace)
            if (o.kind === 'register')
              expect(queue.register(o.time, toInternalKey(KEYS[o.key]), namespace)).toBe(!timers.has(name) && timers.add(name) !== undefined)
            else expect(queue.delete(o.time, toInternalKey(KEYS[o.key]), namespace)).toBe(timers.delete(name))
          } else if (o.op === 'advance') {
            for (const backend of job.backends) backend.eventTimers.advance(o.to, () => {})
            timers = new Set([...timers].filter((name) => Number(name.split('|')[0]) > o.to))
          } else if (o.op === 'snapshot') {
            job.snapshot(o.base)
            saved = structuredClone({ model, timers })
          } else if (o.op === 'restart') {
            job = new Job(o.parallelism, job.chains)
            ;({ model, timers } = structuredClone(saved))
          } else check(job, model, timers)
        }
        check(job, model, timers)
        job.snapshot(false)
        for (const parallelism of [2, 3, 1]) {
          job = new Job(parallelism, job.chains)
          check(job, model, timers)
        }
      }),
      { numRuns: 30 },
    )
  }, 60_000)

  it('a restored state that nobody has asked for yet survives, and what is removed once it is asked for stays removed', () => {
    const before = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    before.setCurrentKey('k')
    stateHandle(new StateScope(before), sum).add(5)
    const first = before.snapshotAll() as Uint8Array
    const restored = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    restored.restore([decodeSegment(first, 's')])
    restored.tracking = true
    const base = restored.snapshotAll() as Uint8Array
    restored.setCurrentKey('k')
    stateHandle(new StateScope(restored), sum).clear()
    const delta = restored.snapshotChanges() as Uint8Array
    const after = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    after.restore([decodeSegment(base, 's'), decodeSegment(delta, 's')])
    after.setCurrentKey('k')
    expect(stateHandle(new StateScope(after), sum).get()).toBeNull()
  })

  it('keeps apart namespaces and times that JSON would make equal', () => {
    const before = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    for (const time of [Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY]) before.eventTimers.register(time, 'k', null)
    const after = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    after.restore([decodeSegment(before.snapshotAll() as Uint8Array, 's')])
    after.openTimers()
    expect([...after.eventTimers.timers()].map((t) => t.time).sort((a, b) => a - b)).toEqual([Number.NEGATIVE_INFINITY, 0, Number.POSITIVE_INFINITY])
  })

  it('nothing changed: no delta; nothing there: no base', () => {
    const backend = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    backend.tracking = true
    expect(backend.snapshotAll()).toBeUndefined()
    backend.setCurrentKey('k')
    stateHandle(new StateScope(backend), sum).add(1)
    expect(backend.snapshotChanges()).toBeDefined()
    expect(backend.snapshotChanges()).toBeUndefined()
  })

  it('hands the written version to the serde, and refuses another serde', () => {
    const restoreAs = (was: AnyStateDescriptor, fill: (backend: KeyedStateBackend) => void, now: AnyStateDescriptor) => {
      const before = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
      before.setCurrentKey('k')
      before.table(was)
      fill(before)
      const after = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
      after.restore([decodeSegment(before.snapshotAll() as Uint8Array, 's')])
      after.setCurrentKey('k')
      return stateHandle(new StateScope(after), now)
    }
    const newer: Serde<string> = { ...text, version: 2, decode: (b, version) => `${text.decode(b, 1)} of version ${version}` }
    const v1 = new ValueStateDescriptor('v', { serde: text })
    const update = (b: KeyedStateBackend) => stateHandle(new StateScope(b), v1).update('x')
    expect((restoreAs(v1, update, new ValueStateDescriptor('v', { serde: newer })) as { value(): unknown }).value()).toBe('x of version 1')
    expect(() => restoreAs(v1, update, new ValueStateDescriptor('v'))).toThrow(expect.objectContaining({ code: 'STATE_DESCRIPTOR' }))
    const m1 = new MapStateDescriptor<string, number>('m', { keySerde: text })
    const put = (b: KeyedStateBackend) => stateHandle(new StateScope(b), m1).put('x', 1)
    const restored = restoreAs(m1, put, new MapStateDescriptor<string, number>('m', { keySerde: newer })) as { keys(): Iterable<string> }
    expect([...restored.keys()]).toEqual(['x of version 1'])
    const list1 = new ListStateDescriptor('l', { serde: text })
    const add = (b: KeyedStateBackend) => stateHandle(new StateScope(b), list1).add('y')
    expect([...(restoreAs(list1, add, new ListStateDescriptor('l', { serde: newer })) as { get(): Iterable<string> }).get()]).toEqual([
      'y of version 1',
    ])
  })

  it('refuses what cannot be serialised, one name for two kinds, and a descriptor without a name', () => {
    const backend = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    backend.setCurrentKey('k')
    const scope = new StateScope(backend)
    stateHandle(scope, new ValueStateDescriptor<unknown>('f')).update({ deep: [() => 1] })
    expect(() => backend.snapshotAll()).toThrow(/STATE_UNSERIALISABLE.*"f".*deep\[0\] is a function/)
    stateHandle(scope, new ValueStateDescriptor('x'))
    expect(() => stateHandle(scope, new ListStateDescriptor('x'))).toThrow(expect.objectContaining({ code: 'STATE_DESCRIPTOR' }))
    expect(() => stateHandle(scope, new ValueStateDescriptor(''))).toThrow(expect.objectContaining({ code: 'STATE_DESCRIPTOR' }))
  })

  it('merges namespaces by the rule of each kind', () => {
    const backend = new KeyedStateBackend(MAX, keyGroupRange(0, MAX, 1))
    backend.setCurrentKey('k')
    const scope = new StateScope(backend)
    const [a, b, target] = [1, 2, 3].map(namespaceOf)
    for (const [namespace, n] of [
      [a, 1],
      [b, 2],
      [target, 4],
    ] as const) {
      scope.namespace = namespace
      stateHandle(scope, list).add(`v${n}`)
      stateHandle(scope, sum).add(n)
    }
    mergeNamespaces(backend, list, target, [a, b])
    mergeNamespaces(backend, sum, target, [a, b])
    scope.namespace = target
    expect([...stateHandle(scope, list).get()].sort()).toEqual(['v1', 'v2', 'v4'])
    expect(stateHandle(scope, sum).get()).toBe(7)
    scope.namespace = a
    expect(stateHandle(scope, sum).get()).toBeNull()
    for (const unmergeable of [mean, value]) {
      expect(() => mergeNamespaces(backend, unmergeable, target, [a, b])).toThrow(expect.objectContaining({ code: 'STATE_DESCRIPTOR' }))
    }
  })
})
