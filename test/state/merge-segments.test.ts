import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ListState,
  ListStateDescriptor,
  type MapState,
  MapStateDescriptor,
  type ValueState,
  ValueStateDescriptor,
} from '../../runtime/core/index.js'
import {
  type DecodedSegment,
  decodeDeltas,
  decodeSegment,
  KeyedStateBackend,
  keyGroupOf,
  keyGroupRange,
  mergeSegments,
  StateScope,
  stateHandle,
} from '../../runtime/state/index.js'

const MAX = 8
const ALL = keyGroupRange(0, MAX, 1)
const KEYS = ['a', 'b', 'c', 7, true] as const

const value = new ValueStateDescriptor<number>('value')
const list = new ListStateDescriptor<number>('list')
const map = new MapStateDescriptor<string, number>('map')

interface Model {
  value: number | undefined
  list: number[]
  map: Map<string, number>
  timers: Set<number>
}

type Op =
  | { readonly kind: 'set' | 'append' | 'timer' | 'cancel'; readonly key: number; readonly n: number }
  | { readonly kind: 'clear' | 'clear-list' | 'clear-map'; readonly key: number }
  | { readonly kind: 'put' | 'delete'; readonly key: number; readonly field: string; readonly n: number }
  | { readonly kind: 'snapshot' }

const key = fc.nat(KEYS.length - 1)
const n = fc.nat(9)
const field = fc.constantFrom('x', 'y', 'z', 'v', 'w')
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('set' as const, 'append' as const, 'timer' as const, 'cancel' as const), key, n }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('clear' as const, 'clear-list' as const, 'clear-map' as const), key }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('put' as const, 'delete' as const), key, field, n }) },
  { weight: 4, arbitrary: fc.constant({ kind: 'snapshot' as const }) },
)

class Program {
  /** By columns, as a log has them, too. */
  readonly deltas: Uint8Array[] = []
  readonly segments: DecodedSegment[] = []
  readonly model = new Map<unknown, Model>()
  readonly #backend = new KeyedStateBackend(MAX, ALL)
  readonly #handles = handlesOf(this.#backend)

  constructor(
    ops: readonly Op[],
    readonly forLog = false,
  ) {
    this.#backend.openTimers()
    this.#backend.tracking = true
    for (const one of ops) this.#run(one)
    this.#run({ kind: 'snapshot' })
  }

  #run(one: Op): void {
    if (one.kind === 'snapshot') {
      const bytes = this.forLog ? this.#backend.takeDelta() : this.#backend.snapshotChanges()
      if (bytes === undefined) return
      this.deltas.push(bytes)
      this.segments.push(decodeSegment(bytes, 'delta'))
      return
    }
    const name = KEYS[one.key]
    const model: Model = this.model.get(name) ?? { value: undefined, list: [], map: new Map(), timers: new Set() }
    this.model.set(name, model)
    this.#backend.setCurrentKey(name)
    const { currentKey, eventTimers } = this.#backend
    const handles = this.#handles
    switch (one.kind) {
      case 'set':
        model.value = one.n
        handles.value.update(one.n)
        break
      case 'clear':
        model.value = undefined
        handles.value.clear()
        break
      case 'append':
        model.list.push(one.n)
        handles.list.add(one.n)
        break
      case 'clear-list':
        model.list = []
        handles.list.clear()
        break
      case 'put':
        model.map.set(one.field, one.n)
        handles.map.put(one.field, one.n)
        break
      case 'delete':
        model.map.delete(one.field)
        handles.map.remove(one.field)
        break
      case 'clear-map':
        model.map = new Map()
        handles.map.clear()
        break
      case 'timer':
        model.timers.add(one.n)
        eventTimers.register(one.n, currentKey, null)
        break
      case 'cancel':
        model.timers.delete(one.n)
        eventTimers.delete(one.n, currentKey, null)
        break
    }
  }

  /** What a backend that restored the segments must hold. */
  expected(): unknown {
    return KEYS.map((name) => {
      const { value: one = null, list: elements = [], map: entries = new Map(), timers = [] } = this.model.get(name) ?? {}
      return { value: one, list: [...elements], map: [...entries], timers: [...timers].sort() }
    })
  }
}

function handlesOf(backend: KeyedStateBackend) {
  const scope = new StateScope(backend)
  return {
    value: stateHandle(scope, value) as ValueState<number>,
    list: stateHandle(scope, list) as ListState<number>,
    map: stateHandle(scope, map) as MapState<string, number>,
  }
}

function contentsOf(segments: readonly DecodedSegment[]): unknown {
  const backend = new KeyedStateBackend(MAX, ALL)
  backend.restore(segments)
  backend.openTimers()
  const handles = handlesOf(backend)
  const timers = [...backend.eventTimers.timers()]
  return KEYS.map((name) => {
    backend.setCurrentKey(name)
    const own = timers.filter((timer) => timer.key === backend.currentKey).map(({ time }) => time)
    return { value: handles.value.value(), list: [...handles.list.get()], map: [...handles.map.entries()], timers: own.sort() }
  })
}

function merged(segments: readonly DecodedSegment[], bottom: boolean): DecodedSegment[] {
  const bytes = mergeSegments(segments, ALL, { bottom, sweptTo: Number.NEGATIVE_INFINITY, blockBytes: 64 })
  return bytes === undefined ? [] : [decodeSegment(bytes, 'merged')]
}

/** Runs of neighbours, cut where `cuts` says. */
function runsOf<T>(elements: readonly T[], cuts: readonly boolean[]): T[][] {
  const runs: T[][] = []
  for (const [i, element] of elements.entries()) {
    if (i === 0 || cuts[i % cuts.length]) runs.push([])
    runs.at(-1)?.push(element)
  }
  return runs
}

const ops = fc.array(op, { maxLength: 80, size: 'max' })
const program = ops.map((some) => new Program(some))
const cuts = fc.array(fc.boolean(), { minLength: 1, maxLength: 12 })

describe('merging segments', () => {
  it('changes nothing of what they say together, whichever neighbours are merged, and in how many rounds', () => {
    fc.assert(
      fc.property(program, cuts, cuts, (ran, first, second) => {
        const expected = ran.expected()
        expect(contentsOf(ran.segments)).toEqual(expected)
        const once = runsOf(ran.segments, first).flatMap((run, i) => merged(run, i === 0))
        expect(contentsOf(once)).toEqual(expected)
        expect(contentsOf(runsOf(once, second).flatMap((run, i) => merged(run, i === 0)))).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('of a log leaves out early what is said anew later, and changes nothing by that', () => {
    const named = (bytes: Uint8Array) => ({ bytes, name: 'delta' })
    fc.assert(
      fc.property(ops, cuts, (some, first) => {
        const ran = new Program(some, true)
        const together = decodeDeltas(ran.deltas.map(named))
        expect(contentsOf(together)).toEqual(ran.expected())
        const rows = (segments: readonly DecodedSegment[]) => segments.reduce((sum, { header }) => sum + header.rows, 0)
        expect(rows(together)).toBeLessThanOrEqual(rows(ran.segments))
        const once = runsOf(ran.deltas, first).flatMap((run, i) => merged(decodeDeltas(run.map(named)), i === 0))
        expect(contentsOf(once)).toEqual(ran.expected())
      }),
      { numRuns: 300 },
    )
    const again = new Program(
      Array.from({ length: 20 }, (_, i) => [{ kind: 'set', key: 0, n: i % 10 } as const, { kind: 'snapshot' } as const]).flat(),
      true,
    )
    expect(decodeDeltas(again.deltas.map(named)).map(({ header }) => header.rows)).toEqual([...new Array(19).fill(0), 1])
  })

  it('at the bottom leaves whole rows only, and no more of them than there are', () => {
    fc.assert(
      fc.property(program, (ran) => {
        const [whole] = merged(ran.segments, true)
        if (whole === undefined) return
        expect(whole.header.kind).toBe('base')
        for (const { block } of whole.blocks(0, MAX)) expect([block.removedKeys, block.changed]).toEqual([[], undefined])
        const models = [...ran.model.values()]
        const rows = models.reduce(
          (sum, m) => sum + Number(m.value !== undefined) + Number(m.list.length > 0) + Number(m.map.size > 0) + m.timers.size,
          0,
        )
        expect(whole.header.rows).toBe(rows)
      }),
    )
  })

  it('takes only the key groups that it is asked for', () => {
    const ran = new Program(KEYS.map((_, i) => ({ kind: 'set', key: i, n: i })))
    for (let group = 0; group < MAX; group++) {
      const [part] = merged(
        ran.segments.map((s) => ({ ...s, blocks: (a: number, b: number) => s.blocks(Math.max(a, group), Math.min(b, group)) })),
        true,
      )
      const keys = part === undefined ? [] : [...part.blocks(0, MAX)].flatMap(({ block }) => block.keys)
      expect(new Set(keys)).toEqual(new Set(KEYS.filter((name) => keyGroupOf(name, MAX) === group)))
      expect(keys).toHaveLength(new Set(keys).size)
    }
  })
})
