import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor } from '../../runtime/core/index.js'
import {
  decodeFooter,
  decodeSegment,
  fromInternalKey,
  type InternalKey,
  KeyedStateBackend,
  KeyLoader,
  mergeSegments,
  type RemoteSegment,
  StateOnDemand,
  StateScope,
  stateHandle,
  TailRows,
} from '../../runtime/state/index.js'

const MAX = 16

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

const ALL = { first: 0, last: MAX - 1 }
const KEYS = Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? i : `key ${i}`))

type Step =
  | { readonly kind: 'set' | 'clear'; readonly key: number; readonly n: number }
  | { readonly kind: 'put' | 'remove'; readonly key: number; readonly n: number }
  | { readonly kind: 'register' | 'delete'; readonly key: number; readonly n: number }
  /** By so much. */
  | { readonly kind: 'watermark'; readonly n: number }
  | { readonly kind: 'commit' | 'reopen' }
  | { readonly kind: 'base'; readonly n: number }

/** Bytes that lie elsewhere; counts how they are read. */
class Store {
  reads = 0
  bytes = 0
  /** Reads, and bytes, that were under way at the same time. */
  mostReads = 0
  mostBytes = 0
  #readsNow = 0
  #bytesNow = 0

  remote(segment: Uint8Array, keyGroups = ALL): RemoteSegment {
    return {
      name: 'segment',
      footer: decodeFooter(segment, 'segment'),
      keyGroups,
      read: async ({ from, to }) => {
        this.reads++
        this.bytes += to - from
        this.#underWay(1, to - from)
        await new Promise((resolve) => setImmediate(resolve))
        this.#underWay(-1, from - to)
        return segment.slice(from, to)
      },
    }
  }

  #underWay(reads: number, bytes: number): void {
    this.#readsNow += reads
    this.#bytesNow += bytes
    this.mostReads = Math.max(this.mostReads, this.#readsNow)
    this.mostBytes = Math.max(this.mostBytes, this.#bytesNow)
  }
}

/** A subtask's keyed state that commits to a log and is opened again from it, with those keys in memory that it needs. */
class Subtask {
  readonly store = new Store()
  readonly fired: string[] = []
  #backend: KeyedStateBackend
  #segments: Uint8Array[] = []
  #tail: Uint8Array[] = []
  #watermark = Number.NEGATIVE_INFINITY

  constructor(
    readonly blockBytes: number,
    readonly sliceBytes?: number,
  ) {
    this.#backend = this.#open()
  }

  #open(): KeyedStateBackend {
    const backend = new KeyedStateBackend(MAX, ALL)
    const tail = new TailRows(
      this.#tail.map((bytes) => decodeSegment(bytes, 'tail')),
      ALL,
    )
    const segments = this.#segments.map((bytes) => this.store.remote(bytes))
    backend.restoreOnDemand(new KeyLoader(MAX, segments, tail, 100, this.sliceBytes), Number.NEGATIVE_INFINITY)
    backend.tracking = true
    backend.openTimers()
    backend.sweeps.sweptTo = this.#watermark
    backend.beginAt(this.#watermark)
    return backend
  }

  async do(step: Step): Promise<void> {
    switch (step.kind) {
      case 'commit':
        return this.#commit()
      case 'reopen':
        this.#commit()
        this.#backend = this.#open()
        return
      case 'base':
        return this.#base(step.n)
      case 'watermark':
        return this.#advance(step.n)
      default:
        await this.#change(step)
    }
  }

  async #change({ kind, key, n }: Extract<Step, { readonly key: number }>): Promise<void> {
    const backend = this.#backend
    const { count, map } = this.#handles
    backend.setCurrentKey(KEYS[key])
    await backend.onDemand?.load([backend.currentKey])
    if (kind === 'set') count.update((count.value() ?? 0) + n)
    else if (kind === 'clear') count.clear()
    else if (kind === 'put') map.put(String(n), n)
    else if (kind === 'remove') map.remove(String(n))
    else if (kind === 'register') backend.eventTimers.register(n, backend.currentKey, null)
    else backend.eventTimers.delete(n, backend.currentKey, null)
  }

  get #handles() {
    const scope = new StateScope(this.#backend)
    return {
      count: stateHandle(scope, new ValueStateDescriptor<number>('count')),
      map: stateHandle(scope, new MapStateDescriptor<string, number>('map')),
    }
  }

  async #advance(by: number): Promise<void> {
    const to = Math.max(0, this.#watermark) + by
    const { eventTimers, onDemand, sweeps } = this.#backend
    while (
      !eventTimers.advance(to, ({ time, key }) => {
        this.fired.push(`${time} ${key}`)
        // One that fires may ask for another, also for a time that is over.
        if (time % 5 === 0) eventTimers.register(time + 7, key, null)
        if (time % 7 === 0) eventTimers.register(time - 20, key, null)
      })
    ) {
      await onDemand?.loadDue(onDemand.eventTimers, to)
    }
    this.#watermark = to
    sweeps.sweptTo = to
  }

  #commit(): void {
    const delta = this.#backend.takeDelta()
    if (delta !== undefined) this.#tail.push(delta)
  }

  /** The tail becomes a segment, with the last `merged` of those before it. */
  #base(merged: number): void {
    this.#commit()
    const kept = this.#segments.slice(0, Math.max(0, this.#segments.length - merged))
    const parts = [...this.#segments.slice(kept.length), ...this.#tail].map((bytes) => decodeSegment(bytes, 'part'))
    const bytes = mergeSegments(parts, ALL, { bottom: kept.length === 0, sweptTo: this.#watermark, blockBytes: this.blockBytes })
    this.#segments = bytes === undefined ? kept : [...kept, bytes]
    this.#tail = []
  }

  /** All rows, as a whole restore has them. */
  whole(): string[] {
    this.#commit()
    const backend = new KeyedStateBackend(MAX, ALL)
    backend.restore([...this.#segments, ...this.#tail].map((bytes) => decodeSegment(bytes, 'part')))
    return rowsOf(backend)
  }

  /** All rows, each key loaded when it is asked for. */
  async loaded(): Promise<string[]> {
    this.#commit()
    this.#backend = this.#open()
    await this.#backend.onDemand?.load(KEYS as InternalKey[])
    return rowsOf(this.#backend)
  }
}

function rowsOf(backend: KeyedStateBackend): string[] {
  backend.openTimers()
  const scope = new StateScope(backend)
  const count = stateHandle(scope, new ValueStateDescriptor<number>('count'))
  const map = stateHandle(scope, new MapStateDescriptor<string, number>('map'))
  const rows: string[] = []
  for (const key of KEYS) {
    backend.setCurrentKey(key)
    rows.push(`${String(key)}: ${count.value()} ${JSON.stringify([...map.entries()].sort())}`)
  }
  for (const { time, key } of backend.eventTimers.timers()) rows.push(`timer ${time} ${String(fromInternalKey(key))}`)
  return rows.sort()
}

/** The same with everything in one memory that is never opened again. */
class Reference {
  readonly fired: string[] = []
  readonly #timers = new Map<string, { readonly time: number; readonly key: InternalKey }>()
  #watermark = Number.NEGATIVE_INFINITY

  do(step: Step): void {
    if (step.kind === 'register') this.#register(step.n, KEYS[step.key])
    else if (step.kind === 'delete') this.#timers.delete(`${step.n} ${KEYS[step.key]}`)
    else if (step.kind === 'watermark') this.#advance(step.n)
  }

  #register(time: number, key: InternalKey): void {
    this.#timers.set(`${time} ${key}`, { time, key })
  }

  #advance(by: number): void {
    const to = Math.max(0, this.#watermark) + by
    this.#watermark = to
    for (;;) {
      const due = [...this.#timers.values()].filter(({ time }) => time <= to)
      if (due.length === 0) return
      const { time, key } = due.reduce((least, timer) => (timer.time < least.time ? timer : least))
      this.#timers.delete(`${time} ${key}`)
      this.fired.push(`${time} ${key}`)
      if (time % 5 === 0) this.#register(time + 7, key)
      if (time % 7 === 0) this.#register(time - 20, key)
    }
  }
}

const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: stepOf('set', 'clear', 'put', 'remove') },
    { weight: 6, arbitrary: stepOf('register', 'register', 'delete') },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('watermark' as const), n: fc.integer({ min: 1, max: 30 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('commit' as const, 'reopen' as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('base' as const), n: fc.integer({ min: 0, max: 3 }) }) },
  ),
  { maxLength: 80, size: 'max' },
)

function stepOf<K extends 'set' | 'clear' | 'put' | 'remove' | 'register' | 'delete'>(...kinds: K[]) {
  return fc.record({ kind: fc.constantFrom(...kinds), key: fc.nat(KEYS.length - 1), n: fc.integer({ min: 0, max: 100 }) })
}

describe('keyed state of which only the keys that are needed are in memory', () => {
  it('has the same rows and fires the same timers, wherever it is opened again', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(1, 40, 16_384), fc.constantFrom(1, 300, undefined), async (program, blockBytes, sliceBytes) => {
        const subtask = new Subtask(blockBytes, sliceBytes)
        const reference = new Reference()
        for (const step of program as Step[]) {
          await subtask.do(step)
          reference.do(step)
        }
        expect([...subtask.fired].sort()).toEqual([...reference.fired].sort())
        expect(await subtask.loaded()).toEqual(subtask.whole())
      }),
      { numRuns: 400 },
    )
  })

  it('fires in the order of the times', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepOf('register'), { maxLength: 40 }), async (timers) => {
        const subtask = new Subtask(30)
        for (const step of timers) await subtask.do({ ...step, n: step.n * 11 })
        await subtask.do({ kind: 'base', n: 0 })
        await subtask.do({ kind: 'reopen' })
        await subtask.do({ kind: 'watermark', n: 100 * 11 })
        const times = subtask.fired.map((line) => Number(line.split(' ')[0]))
        // What was asked for while others fired may be for a time that is over.
        const asked = new Set(timers.map(({ n }) => n * 11))
        const first = times.filter((time) => asked.has(time))
        expect(first).toEqual([...first].sort((a, b) => a - b))
      }),
      { numRuns: 100 },
    )
  })

  it('reads one block for a key, and none for a key that has no place in any', async () => {
    const backend = new KeyedStateBackend(MAX, ALL)
    const count = stateHandle(new StateScope(backend), new ValueStateDescriptor<number>('count'))
    for (let key = 0; key < 20_000; key++) {
      backend.setCurrentKey(key)
      count.update(key)
    }
    const store = new Store()
    const segment = backend.snapshotBlocks(4_096) as Uint8Array
    const opened = new KeyedStateBackend(MAX, ALL)
    const lower = { first: 0, last: MAX / 2 - 1 }
    opened.restoreOnDemand(new KeyLoader(MAX, [store.remote(segment, lower)], new TailRows([], lower), 0), Number.NEGATIVE_INFINITY)
    const value = stateHandle(new StateScope(opened), new ValueStateDescriptor<number>('count'))
    await opened.onDemand?.load([17])
    opened.setCurrentKey(17)
    expect(store.reads).toBeLessThanOrEqual(1)
    expect(store.bytes).toBeLessThan(10_000)
    const found = new Set<boolean>()
    for (let key = 100; key < 200; key++) {
      const before = store.reads
      await opened.onDemand?.load([key])
      opened.setCurrentKey(key)
      // A key of the other half's key groups is none of this one's.
      found.add(value.value() === key)
      expect(value.value() === key).toBe(store.reads === before + 1)
    }
    expect(found).toEqual(new Set([true, false]))
    expect(segment.length).toBeGreaterThan(40_000)
  })

  it('reads for many keys little at a time, and hardly a block twice', async () => {
    const backend = new KeyedStateBackend(MAX, ALL)
    const descriptor = new ValueStateDescriptor<string>('text')
    const text = stateHandle(new StateScope(backend), descriptor)
    const keys = Array.from({ length: 20_000 }, (_, key) => key)
    for (const key of keys) {
      backend.setCurrentKey(key)
      text.update(`${key}`.padEnd(100, `${Math.sin(key)}`))
    }
    const store = new Store()
    const segment = backend.snapshotBlocks(4_096) as Uint8Array
    const sliceBytes = 200_000
    const opened = new KeyedStateBackend(MAX, ALL)
    const loader = new KeyLoader(MAX, [store.remote(segment), store.remote(segment)], new TailRows([], ALL), 0, sliceBytes)
    opened.restoreOnDemand(loader, Number.NEGATIVE_INFINITY)
    expect(segment.length).toBeGreaterThan(5 * sliceBytes)
    const installed: number[] = []
    const { install } = opened.onDemand as StateOnDemand
    await new StateOnDemand(
      loader,
      (rows) => {
        installed.push(rows.get('text')?.size ?? 0)
        install(rows)
      },
      Number.NEGATIVE_INFINITY,
    ).load(keys)
    expect(store.mostBytes).toBeLessThanOrEqual(sliceBytes)
    expect(Math.max(...installed)).toBeLessThan(keys.length / 5)
    expect(store.bytes).toBeLessThan(2 * segment.length + installed.length * 2 * 5_000)
    const loaded = stateHandle(new StateScope(opened), descriptor)
    for (const key of keys) {
      opened.setCurrentKey(key)
      expect(loaded.value()).toBe(`${key}`.padEnd(100, `${Math.sin(key)}`))
    }
  })

  it('asks for few blocks at a time, and reads on no more when one cannot be read', async () => {
    const backend = new KeyedStateBackend(MAX, ALL)
    const text = stateHandle(new StateScope(backend), new ValueStateDescriptor<string>('text'))
    for (let key = 0; key < 1_200; key++) {
      backend.setCurrentKey(key)
      // Blocks that lie too far apart to be read together.
      text.update(`${key}`.padEnd(key % 3 === 0 ? 10 : 20_000))
    }
    const segment = backend.snapshotBlocks(1) as Uint8Array
    const keys = Array.from({ length: 400 }, (_, i) => 3 * i)
    const store = new Store()
    await new KeyLoader(MAX, [store.remote(segment)], new TailRows([], ALL), 0, Number.POSITIVE_INFINITY).load(keys)
    expect(store.reads).toBeGreaterThan(60)
    expect(store.mostReads).toBeGreaterThan(10)
    expect(store.mostReads).toBeLessThanOrEqual(32)
    let failed = 0
    const read = async () => {
      failed++
      throw new Error('not now')
    }
    const broken = { ...store.remote(segment), read }
    const loader = new KeyLoader(MAX, [broken], new TailRows([], ALL), 0, Number.POSITIVE_INFINITY)
    await expect(loader.load(keys)).rejects.toThrow('not now')
    await new Promise((resolve) => setImmediate(resolve))
    expect(failed).toBeLessThanOrEqual(32)
  })

  it('keeps nothing of what was read beside what a key has', async () => {
    const backend = new KeyedStateBackend(MAX, ALL)
    const descriptor = new ValueStateDescriptor<string>('text')
    const text = stateHandle(new StateScope(backend), descriptor)
    for (let key = 0; key < 60_000; key++) {
      backend.setCurrentKey(key)
      text.update(`${Math.sin(key)}${Math.cos(key)}${Math.sqrt(key)}`.padEnd(60, 'x'))
    }
    const segment = backend.snapshotBlocks(16_384) as Uint8Array
    const opened = new KeyedStateBackend(MAX, ALL)
    stateHandle(new StateScope(opened), descriptor)
    const loader = new KeyLoader(MAX, [new Store().remote(segment)], new TailRows([], ALL), 0)
    opened.restoreOnDemand(loader, Number.NEGATIVE_INFINITY)
    const before = heapUsed()
    await opened.onDemand?.load(Array.from({ length: 1_000 }, (_, i) => i * 60))
    expect(heapUsed() - before).toBeLessThan(1_000_000)
    expect(opened.rows).toBe(1_000)
  })

  it('counts what a key has, not what was read for it', async () => {
    const backend = new KeyedStateBackend(MAX, ALL)
    const descriptor = new ValueStateDescriptor<string>('text')
    const text = stateHandle(new StateScope(backend), descriptor)
    for (let key = 0; key < 2_000; key++) {
      backend.setCurrentKey(key)
      text.update(`${key}`.padEnd(key === 3 ? 5_000 : 50))
    }
    const segment = backend.snapshotBlocks(16_384) as Uint8Array
    const memoryOf = async (...keys: readonly number[]) => {
      const opened = new KeyedStateBackend(MAX, ALL)
      stateHandle(new StateScope(opened), descriptor)
      opened.restoreOnDemand(new KeyLoader(MAX, [new Store().remote(segment)], new TailRows([], ALL), 0), Number.NEGATIVE_INFINITY)
      await opened.onDemand?.load(keys)
      return opened.memoryBytes()
    }
    expect(await memoryOf(17)).toBeLessThan(1_000)
    const hundred = Array.from({ length: 100 }, (_, i) => 100 + i)
    expect(await memoryOf(...hundred)).toBeGreaterThan(100 * 200)
    expect(await memoryOf(...hundred)).toBeLessThan(100 * 1_000)
  })

  it('counts what is written into large values, and into parts of them, and nothing more for small ones that change', () => {
    const memoryOf = (rounds: number, change: (backend: KeyedStateBackend, round: number) => void) => {
      const backend = new KeyedStateBackend(MAX, ALL)
      backend.tracking = true
      for (let round = 0; round < rounds; round++) {
        for (let key = 0; key < 10; key++) {
          backend.setCurrentKey(key)
          change(backend, round)
        }
        backend.takeDelta()
      }
      return backend.memoryBytes()
    }
    const text = new ValueStateDescriptor<string>('text')
    const list = new ListStateDescriptor<string>('list')
    const noise = (length: number, round: number) =>
      Array.from({ length }, (_, i) => Math.abs(Math.sin(round * length + i)).toString(36)[5] ?? 'x').join('')
    const update = (length: number) => (backend: KeyedStateBackend, round: number) =>
      stateHandle(new StateScope(backend), text).update(noise(length, round))
    const append = (backend: KeyedStateBackend, round: number) => stateHandle(new StateScope(backend), list).add(noise(1_000, round))
    expect(memoryOf(1, update(100_000))).toBeGreaterThan(10 * 100_000)
    expect(memoryOf(50, append)).toBeGreaterThan(10 * 50 * 1_000)
    expect(memoryOf(50, append)).toBeLessThan(2 * 10 * 50 * 1_000)
    expect(memoryOf(200, update(20))).toBe(memoryOf(1, update(20)))
  })

  it('says what is damaged when a block is', async () => {
    const backend = new KeyedStateBackend(MAX, ALL)
    const count = stateHandle(new StateScope(backend), new ValueStateDescriptor<number>('count'))
    for (let key = 0; key < 100; key++) {
      backend.setCurrentKey(key)
      count.update(key)
    }
    const segment = backend.snapshotBlocks(200) as Uint8Array
    const remote = new Store().remote(segment.slice())
    segment[40] ^= 1
    const damaged = { ...remote, read: new Store().remote(segment).read }
    const opened = new KeyedStateBackend(MAX, ALL)
    opened.restoreOnDemand(new KeyLoader(MAX, [damaged], new TailRows([], ALL), 0), Number.NEGATIVE_INFINITY)
    const all = Array.from({ length: 100 }, (_, key) => key)
    await expect(opened.onDemand?.load(all)).rejects.toMatchObject({ code: 'CHECKPOINT_CORRUPT' })
    const footer = segment.slice()
    footer[footer.length - 20] ^= 1
    expect(() => decodeSegment(footer, 'x.seg')).toThrow(expect.objectContaining({ code: 'CHECKPOINT_CORRUPT' }))
  })
})
