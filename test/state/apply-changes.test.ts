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
  type DecodedSegment,
  decodeSegment,
  fromInternalKey,
  type InternalKey,
  KeyedStateBackend,
  mergeNamespaces,
  type Namespace,
  StateScope,
  type StateTable,
  stateHandle,
  type TimerQueue,
} from '../../runtime/state/index.js'

const MAX = 16
const TTL_MS = 50
const text: Serde<string> = { id: 'text,utf8', version: 1, encode: (v) => new TextEncoder().encode(v), decode: (b) => new TextDecoder().decode(b) }
const KEYS: readonly unknown[] = ['a', 'b', 1, ['x', 1]]
const WINDOWS = 10

/** Descriptors of one chain of operators: new objects for each chain. */
function describedStates() {
  const ttl = { ttlMs: TTL_MS }
  return {
    value: new ValueStateDescriptor<{ n: number }>('value'),
    list: new ListStateDescriptor<string>('list', { serde: text }),
    map: new MapStateDescriptor<string, bigint>('map', { keySerde: text }),
    sum: new ReducingStateDescriptor<number>('sum', (a, b) => a + b),
    mean: new AggregatingStateDescriptor<number, { n: number; total: number }, number>('mean', {
      createAccumulator: () => ({ n: 0, total: 0 }),
      add: (v, acc) => ({ n: acc.n + 1, total: acc.total + v }),
      getResult: (acc) => acc.total / acc.n,
    }),
    timedList: new ListStateDescriptor<number>('timed-list', { ttl }),
    timedMap: new MapStateDescriptor<{ id: number }, number>('timed-map', { ttl: { ...ttl, update: 'read-write' } }),
  }
}
type StateName = keyof ReturnType<typeof describedStates>
const NAMES = Object.keys(describedStates()) as StateName[]

function namespaceOf(n: number): Namespace {
  return n === 0 ? null : new TimeWindow(n, n + 1)
}

interface Change {
  readonly state: StateName
  readonly kind: 'add' | 'clear' | 'replace' | 'remove' | 'put-again' | 'read' | 'merge'
  readonly key: number
  readonly n: number
  readonly v: number
}

interface TimerChange {
  readonly kind: 'register' | 'delete'
  readonly domain: 'eventTimers' | 'processingTimers'
  readonly key: number
  readonly n: number
  readonly time: number
}

/** One instance of a subtask, and a chain of operators over its backend: states are asked for when they are first used. */
class Instance {
  readonly backend: KeyedStateBackend
  #states = describedStates()
  #scope!: StateScope
  readonly #handles = new Map<string, unknown>()

  constructor(now: () => number, log: readonly Uint8Array[]) {
    this.backend = new KeyedStateBackend(MAX, { first: 0, last: MAX - 1 }, now)
    this.backend.restore(log.map(decoded))
    this.backend.tracking = true
    this.openChain()
  }

  openChain(): void {
    this.#states = describedStates()
    this.#handles.clear()
    this.#scope = new StateScope(this.backend)
    this.backend.namespaceCodec = {
      toData: (window) => ({ start: (window as TimeWindow).start }),
      fromData: (data) => new TimeWindow((data as { start: number }).start, (data as { start: number }).start + 1),
    }
    this.backend.openTimers()
  }

  #handle<D extends AnyStateDescriptor>(descriptor: D) {
    let handle = this.#handles.get(descriptor.name)
    if (handle === undefined) {
      handle = stateHandle(this.#scope, descriptor)
      this.#handles.set(descriptor.name, handle)
    }
    return handle as ReturnType<typeof stateHandle<D>>
  }

  change({ state, kind, key, n, v }: Change): void {
    this.backend.setCurrentKey(KEYS[key])
    this.#scope.namespace = namespaceOf(n)
    const { value, list, map, sum, mean, timedList, timedMap } = this.#states
    const [next, afterNext] = [1, 2].map((i) => namespaceOf((n + i) % WINDOWS))
    if (state === 'value') changeSingle(this.#handle(value), kind, (handle) => handle.update({ n: v }))
    else if (state === 'sum') changeSingle(this.#handle(sum), kind, (handle) => handle.add(v))
    else if (state === 'mean') changeSingle(this.#handle(mean), kind, (handle) => handle.add(v))
    else if (state === 'list' && kind === 'merge') mergeNamespaces(this.backend, list, namespaceOf(n), [next, afterNext])
    else if (state === 'list') changeList(this.#handle(list), kind, (i) => `v${v}.${i}`)
    else if (state === 'timedList') changeList(this.#handle(timedList), kind, (i) => v + i)
    else if (state === 'map') changeMap(this.#handle(map), kind, `k${v % 14}`, BigInt(v))
    else changeMap(this.#handle(timedMap), kind, { id: v % 14 }, v)
  }

  changeTimer({ kind, domain, key, n, time }: TimerChange): void {
    this.backend.setCurrentKey(KEYS[key])
    const queue = this.backend[domain]
    if (kind === 'register') queue.register(time, this.backend.currentKey, namespaceOf(n))
    else queue.delete(time, this.backend.currentKey, namespaceOf(n))
  }

  /** Everything but what has expired, in a form that can be compared. Asks for every state. */
  contents(now: number): unknown {
    const states = describedStates()
    const live = ({ at }: { readonly at: number }) => at + TTL_MS > now
    const rows = NAMES.map((name) => {
      const table = this.backend.table(states[name]) as StateTable<unknown>
      const dumped = [...table.entries()].map(({ key, namespace, value }) => [key, namespace?.id, plain(name, value, live)] as const)
      return [name, sorted(dumped.filter(([, , value]) => value !== undefined))]
    })
    const timers = (queue: TimerQueue) => sorted([...queue.timers()].map(({ time, key, namespace }) => [key, namespace?.id, String(time)] as const))
    return { rows, event: timers(this.backend.eventTimers), processing: timers(this.backend.processingTimers) }
  }
}

function changeSingle<H extends { clear(): void }>(handle: H, kind: Change['kind'], change: (handle: H) => void): void {
  if (kind === 'clear') handle.clear()
  else change(handle)
}

function changeList<T>(
  handle: { get(): Iterable<T>; add(v: T): void; addAll(v: Iterable<T>): void; update(v: Iterable<T>): void; clear(): void },
  kind: Change['kind'],
  element: (i: number) => T,
): void {
  if (kind === 'clear') handle.clear()
  else if (kind === 'replace') handle.update([element(0), element(1)])
  else if (kind === 'remove') handle.update([...handle.get()].slice(1))
  else if (kind === 'put-again') handle.addAll([element(0), element(1), element(2)])
  else if (kind === 'read') void [...handle.get()]
  else handle.add(element(0))
}

function changeMap<K, V>(
  handle: { get(k: K): V | undefined; put(k: K, v: V): void; remove(k: K): void; clear(): void },
  kind: Change['kind'],
  key: K,
  value: V,
): void {
  if (kind === 'clear') handle.clear()
  else if (kind === 'read') handle.get(key)
  else {
    if (kind === 'remove' || kind === 'put-again') handle.remove(key)
    if (kind !== 'remove') handle.put(key, value)
  }
}

/** What is live of a value; undefined for nothing. Maps in their order, which is part of what comes back. */
function plain(name: StateName, value: unknown, live: (timed: { readonly at: number }) => boolean): unknown {
  if (name === 'map') return [...(value as Map<InternalKey, unknown>)].map(([k, v]) => [fromInternalKey(k), v])
  if (name === 'timedList') return nonEmpty((value as { at: number }[]).filter(live))
  if (name === 'timedMap') return nonEmpty([...(value as Map<InternalKey, { at: number }>)].filter(([, timed]) => live(timed)))
  return value
}

function nonEmpty(list: readonly unknown[]): unknown {
  return list.length === 0 ? undefined : list
}

function sorted<T extends readonly [InternalKey, string | undefined, unknown]>(rows: T[]): T[] {
  const name = ([key, namespace, value]: T) => `${String(key)}|${namespace ?? ''}|${typeof value === 'string' ? value : ''}`
  return rows.sort((a, b) => (name(a) < name(b) ? -1 : 1))
}

function decoded(bytes: Uint8Array): DecodedSegment {
  return decodeSegment(bytes, 'segment')
}

const at = { key: fc.nat(KEYS.length - 1), n: fc.oneof(fc.constant(0), fc.nat(WINDOWS - 1)) }
const change = fc.record({
  op: fc.constant('change' as const),
  state: fc.constantFrom(...NAMES, 'list' as const, 'map' as const),
  kind: fc.constantFrom('add', 'add', 'add', 'clear', 'replace', 'remove', 'put-again', 'read', 'merge') as fc.Arbitrary<Change['kind']>,
  ...at,
  v: fc.nat(40),
})
const timerChange = fc.record({
  op: fc.constant('timer' as const),
  kind: fc.constantFrom('register' as const, 'register' as const, 'delete' as const),
  domain: fc.constantFrom('eventTimers' as const, 'processingTimers' as const),
  ...at,
  time: fc.oneof(fc.nat(4), fc.constant(Number.POSITIVE_INFINITY)),
})
// Rounds are short and rows few, so that a row is touched in many rounds and in several ways in one.
const operation = fc.oneof(
  { weight: 24, arbitrary: change },
  { weight: 6, arbitrary: timerChange },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('fire' as const), to: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('wait' as const), ms: fc.nat(TTL_MS) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('commit' as const), swap: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('base' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('restart' as const) }) },
)

describe('applyChanges', () => {
  it('an instance that takes what others commit is as they are, and as one restored from the log', () => {
    fc.assert(
      fc.property(fc.array(operation, { minLength: 20, maxLength: 160, size: 'max' }), fc.boolean(), (operations, forLog) => {
        let time = 0
        const now = () => time
        let log: Uint8Array[] = []
        let [writer, reader] = [new Instance(now, []), new Instance(now, [])]
        const commit = () => {
          const delta = forLog ? writer.backend.takeDelta() : writer.backend.snapshotChanges()
          expect(writer.backend.changed).toBe(false)
          if (delta === undefined) return
          log.push(delta)
          reader.backend.applyChanges(decoded(delta))
          expect(reader.backend.snapshotChanges()).toBeUndefined()
        }
        for (const o of operations) {
          if (o.op === 'change') writer.change(o)
          else if (o.op === 'timer') writer.changeTimer(o)
          else if (o.op === 'wait') time += o.ms
          else if (o.op === 'fire') {
            writer.backend.eventTimers.advance(o.to, () => {})
            writer.backend.processingTimers.advance(o.to, () => {})
          } else {
            commit()
            if (o.op === 'commit' && o.swap) {
              ;[writer, reader] = [reader, writer]
              writer.openChain()
            } else if (o.op === 'base') {
              const base = writer.backend.snapshotAll()
              log = base === undefined ? [] : [base]
            } else if (o.op === 'restart') reader = new Instance(now, log)
          }
        }
        commit()
        const expected = writer.contents(time)
        const restored = new Instance(now, log)
        expect(reader.contents(time)).toEqual(expected)
        expect(restored.contents(time)).toEqual(expected)
        for (const { backend } of [writer, reader, restored]) {
          const base = backend.snapshotAll()
          expect(new Instance(now, base === undefined ? [] : [base]).contents(time)).toEqual(expected)
        }
      }),
      { numRuns: 150 },
    )
  }, 120_000)

  it('refuses a base, and changes on top of its own', () => {
    const writer = new Instance(() => 0, [])
    writer.change({ state: 'sum', kind: 'add', key: 0, n: 0, v: 1 })
    const delta = decoded(writer.backend.snapshotChanges() as Uint8Array)
    const base = decoded(writer.backend.snapshotAll() as Uint8Array)
    expect(() => new Instance(() => 0, []).backend.applyChanges(base)).toThrow(expect.objectContaining({ code: 'ASSERTION' }))
    for (const change of [
      (own: Instance) => own.change({ state: 'sum', kind: 'add', key: 1, n: 0, v: 1 }),
      (own: Instance) => own.changeTimer({ kind: 'register', domain: 'processingTimers', key: 0, n: 0, time: 1 }),
    ]) {
      const own = new Instance(() => 0, [])
      change(own)
      expect(() => own.backend.applyChanges(delta)).toThrow(expect.objectContaining({ code: 'ASSERTION' }))
    }
  })

  it('removing what another instance wrote leaves a tombstone', () => {
    const writer = new Instance(() => 0, [])
    writer.change({ state: 'map', kind: 'add', key: 0, n: 1, v: 1 })
    writer.changeTimer({ kind: 'register', domain: 'eventTimers', key: 0, n: 1, time: 7 })
    const log = [writer.backend.snapshotChanges() as Uint8Array]
    const reader = new Instance(() => 0, [])
    reader.backend.applyChanges(decoded(log[0]))
    reader.openChain()
    reader.change({ state: 'map', kind: 'clear', key: 0, n: 1, v: 1 })
    reader.backend.eventTimers.advance(7, () => {})
    log.push(reader.backend.snapshotChanges() as Uint8Array)
    expect(new Instance(() => 0, log).contents(0)).toEqual(new Instance(() => 0, []).contents(0))
  })

  it('takes only the key groups of the backend', () => {
    const writer = new Instance(() => 0, [])
    for (let key = 0; key < KEYS.length; key++) {
      writer.change({ state: 'sum', kind: 'add', key, n: 0, v: 1 })
      writer.changeTimer({ kind: 'register', domain: 'eventTimers', key, n: 0, time: 1 })
    }
    const delta = decoded(writer.backend.snapshotChanges() as Uint8Array)
    const halves = [new KeyedStateBackend(MAX, { first: 0, last: 7 }), new KeyedStateBackend(MAX, { first: 8, last: 15 })]
    const { sum } = describedStates()
    for (const half of halves) {
      half.table(sum)
      half.openTimers()
      half.applyChanges(delta)
    }
    expect(halves.map((half) => half.table(sum).size).reduce((a, b) => a + b)).toBe(KEYS.length)
    expect(halves.every((half) => half.table(sum).size > 0 && half.eventTimers.size === half.table(sum).size)).toBe(true)
  })
})
