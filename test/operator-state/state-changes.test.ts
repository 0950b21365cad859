import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type BroadcastProcessFunction,
  type CheckpointedFunction,
  type FunctionInitializationContext,
  type FunctionSnapshotContext,
  ListStateDescriptor,
  type MapState,
  MapStateDescriptor,
  type Serde,
} from '../../runtime/core/index.js'
import { CoBroadcastOperator } from '../../runtime/operators/co-broadcast-operator.js'
import { type OperatorContext, type Output, StreamOperator } from '../../runtime/operators/stream-operator.js'
import { applyOperatorStateChanges, elementOf, foldOperatorStateChanges, pack, redistributionOf, unpack } from '../../runtime/state/index.js'

const text = (version: number): Serde<string> => ({
  id: 'text',
  version,
  encode: (value) => new TextEncoder().encode(`${version}:${value}`),
  decode: (bytes) => new TextDecoder().decode(bytes).slice(2),
})

const BUFFERED = new ListStateDescriptor<number>('buffered')
const LISTS = ['split', 'union', 'rules'] as const
type ListName = (typeof LISTS)[number]
const PATTERNS = new MapStateDescriptor<{ id: number }, string>('patterns')
/** Has the name of a function's state. */
const others = (version: number) => new MapStateDescriptor<number, string>('names', { serde: text(version) })

type Use = (states: {
  readonly fn: Keeper
  list(name: ListName): { get(): Iterable<string>; add(v: string): void; addAll(v: string[]): void; update(v: string[]): void; clear(): void }
  map(name: MapName): MapState<unknown, unknown>
}) => void
type MapName = 'names' | 'patterns' | 'others'

/** State of each sort, asked for when it is first used; what comes in by the broadcast stream says what to do with it. */
class Keeper implements BroadcastProcessFunction<never, Use, never>, CheckpointedFunction {
  readonly numbers: number[] = []
  #store!: FunctionInitializationContext

  constructor(readonly version: number) {}

  initializeState(store: FunctionInitializationContext): void {
    this.#store = store
    this.numbers.push(...store.getListState(BUFFERED).get())
  }

  snapshotState(store: FunctionSnapshotContext): void {
    store.getListState(BUFFERED).update(this.numbers)
  }

  processElement(): void {}

  processBroadcastElement(use: Use, ctx: { getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V> }): void {
    use({
      fn: this,
      list: (name) => {
        const descriptor = new ListStateDescriptor<string>(name, name === 'union' ? { serde: text(this.version) } : {})
        if (name === 'split') return this.#store.getListState(descriptor)
        return name === 'union' ? this.#store.getUnionListState(descriptor) : this.#store.getBroadcastListState(descriptor)
      },
      map: (name) => {
        if (name === 'patterns') return ctx.getBroadcastState(PATTERNS) as MapState<unknown, unknown>
        if (name === 'others') return ctx.getBroadcastState(others(this.version)) as MapState<unknown, unknown>
        const names = new MapStateDescriptor<string, { n: number }>('names', { keySerde: text(this.version) })
        return this.#store.getBroadcastState(names) as MapState<unknown, unknown>
      },
    })
  }
}

const CONTEXT = { restoredCheckpointId: 0, processingTime: { clock: { now: () => 0 } }, runtime: {} } as unknown as OperatorContext
const NOWHERE: Output<never> = { collect() {}, emitWatermark() {}, emitStatus() {}, collectSide() {} }

function opened<O extends StreamOperator<never, never>>(operator: O, restored: readonly unknown[]): O {
  operator.setup(CONTEXT, NOWHERE)
  void operator.open(restored)
  return operator
}

function keeper(restored: readonly unknown[], version = 1): CoBroadcastOperator<never, Use, never> {
  const declared = [PATTERNS, others(version)] as MapStateDescriptor<unknown, unknown>[]
  return opened(new CoBroadcastOperator<never, Use, never>(new Keeper(version), declared), restored)
}

/** As a multiset that can be compared, what is packed inside elements unpacked. */
function comparable(elements: readonly unknown[]): string[] {
  return elements
    .map((stored) => {
      const element = elementOf(stored) as { readonly broadcastState?: string; readonly data: unknown }
      const data = element.broadcastState === undefined ? element.data : unpack(element.data as Uint8Array)
      return JSON.stringify([redistributionOf(stored), { ...element, data }])
    })
    .sort()
}

/** As the log has it. */
function written(changes: unknown): unknown {
  return unpack(pack(changes))
}

const KEYS = [...'abcdefghij']
const keyOf = (name: MapName, k: number) => (name === 'names' ? KEYS[k] : name === 'patterns' ? { id: k } : k)
const dataOf = (name: MapName, v: number) => (name === 'names' ? { n: v } : `v${v}`)

const use = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.nat(9).map(
      (n): Use =>
        ({ fn }) =>
          void fn.numbers.push(n),
    ),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({ name: fc.constantFrom(...LISTS), kind: fc.constantFrom('add', 'add', 'all', 'update', 'clear', 'read'), v: fc.nat(20) })
      .map(
        ({ name, kind, v }): Use =>
          ({ list }) => {
            const state = list(name)
            if (kind === 'add') state.add(`${v}`)
            else if (kind === 'all') state.addAll([`${v}`, 'x'])
            else if (kind === 'update') state.update([...state.get()].slice(1))
            else if (kind === 'clear') state.clear()
            else void [...state.get()]
          },
      ),
  },
  {
    weight: 12,
    arbitrary: fc
      .record({
        name: fc.constantFrom<MapName[]>('names', 'patterns', 'others'),
        kind: fc.constantFrom('put', 'put', 'put', 'remove', 'clear', 'again', 'read'),
        k: fc.nat(KEYS.length - 1),
        v: fc.nat(20),
      })
      .map(
        ({ name, kind, k, v }): Use =>
          ({ map }) => {
            const [state, key] = [map(name), keyOf(name, k)]
            if (kind === 'clear' && v < 5) state.clear()
            else if (kind === 'remove' || kind === 'again') state.remove(key)
            if (kind === 'put' || kind === 'again') state.put(key, dataOf(name, v))
            else if (kind === 'read') void [...state.entries()]
          },
      ),
  },
)
const step = fc.oneof(
  { weight: 12, arbitrary: use },
  { weight: 3, arbitrary: fc.constant('take' as const) },
  { weight: 1, arbitrary: fc.constant('restart' as const) },
)

describe('changes of operator state', () => {
  it('put together give what a snapshot says', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }), (steps) => {
        let operator = keeper([])
        let elements: readonly unknown[] = []
        let first: readonly unknown[] = []
        let all: unknown[] = []
        const take = () => {
          const changes = written(operator.takeStateChanges(1))
          all.push(changes)
          elements = applyOperatorStateChanges(elements, changes)
          expect(comparable(elements)).toEqual(comparable(operator.snapshotState(1)))
          expect(operator.takeStateChanges(1)).toBeUndefined()
        }
        for (const s of steps) {
          if (typeof s === 'function') operator.processElement2(s, 0)
          else {
            take()
            if (s !== 'restart') continue
            expect(comparable(foldOperatorStateChanges(first, all))).toEqual(comparable(elements))
            operator = keeper(elements)
            first = elements
            all = []
          }
        }
        take()
        expect(comparable(foldOperatorStateChanges(first, all))).toEqual(comparable(elements))
      }),
      { numRuns: 200 },
    )
  }, 60_000)

  it('follow what changed, not how much there is', () => {
    const before = keeper([])
    before.processElement2(({ list, map }) => {
      for (let n = 0; n < 5_000; n++) {
        map('patterns').put({ id: n }, `v${n}`)
        map('names').put(`k${n}`, { n })
        list('split').add(`${n}`)
      }
    }, 0)
    const first = written(before.takeStateChanges(1))
    expect(pack(first).length).toBeGreaterThan(50_000)
    const restored = applyOperatorStateChanges([], first)
    for (const operator of [before, keeper(restored)]) {
      operator.processElement2(({ map }) => {
        map('patterns').put({ id: 7 }, 'seven')
        map('patterns').remove({ id: 8 })
        map('names').remove('k9')
        map('names').remove('not there')
        expect(map('patterns').get({ id: 1 })).toBe('v1')
      }, 0)
      const changes = written(operator.takeStateChanges(2))
      expect(pack(changes).length).toBeLessThan(400)
      expect(comparable(applyOperatorStateChanges(restored, changes))).toEqual(comparable(operator.snapshotState(2)))
    }
  })

  it.each([
    ['read with another version of its serde', 2, false],
    ['restored from several maps', 1, true],
  ])('tell a state %s as a whole', (_, version, several) => {
    const before = keeper([])
    before.processElement2(({ map, list }) => {
      map('others').put(1, 'one')
      map('names').put('a', { n: 1 })
      list('union').add('u')
    }, 0)
    const elements = before.snapshotState(1)
    const restored = several ? [...elements, ...elements.filter((e) => redistributionOf(e) === 'broadcast')] : elements
    const after = keeper(restored, version)
    after.processElement2(({ map, list }) => {
      expect(map('others').get(1)).toBe('one')
      expect(map('names').get('a')).toEqual({ n: 1 })
      expect([...list('union').get()]).toEqual(['u'])
    }, 0)
    const changes = written(after.takeStateChanges(2))
    expect(comparable(applyOperatorStateChanges(restored, changes))).toEqual(comparable(after.snapshotState(2)))
  })

  it('may be a whole state between changes of entries', () => {
    const operator = keeper([])
    const take = (n: number) => {
      operator.processElement2(({ map }) => map('patterns').put({ id: n }, `v${n}`), 0)
      return operator.takeStateChanges(n)
    }
    const [first, second] = [take(1), take(2)]
    operator.processElement2(({ map }) => map('patterns').remove({ id: 1 }), 0)
    const all = { all: operator.snapshotState(2) }
    expect(comparable(foldOperatorStateChanges([], [first, second, all, take(3)]))).toEqual(comparable(operator.snapshotState(3)))
    expect(comparable(foldOperatorStateChanges([], [first, second, all]))).toEqual(comparable(all.all))
    expect(comparable(foldOperatorStateChanges([], [first, second, { all: [] }]))).toEqual([])
  })
})

class Listing extends StreamOperator<never, never> {
  list: readonly unknown[] = []
  asynchronous = false
  processElement(): void {}
  override open(restored: readonly unknown[]): void {
    this.list = restored
  }
  override snapshotState(): readonly unknown[] | Promise<readonly unknown[]> {
    return this.asynchronous ? Promise.resolve(this.list) : this.list
  }
}

describe('changes of an operator that does not say itself what changed', () => {
  it('are its whole state, when it differs', async () => {
    const restored = [{ split: 'a', at: 1 }]
    const operator = opened(new Listing(), restored)
    expect(operator.takeStateChanges(1, restored)).toBeUndefined()
    operator.list = [{ split: 'a', at: 2 }]
    expect(operator.takeStateChanges(2, restored)).toEqual({ all: [{ split: 'a', at: 2 }] })
    expect(operator.takeStateChanges(3)).toBeUndefined()
    operator.asynchronous = true
    await expect(operator.takeStateChanges(4)).resolves.toBeUndefined()
    operator.list = []
    const changes = await operator.takeStateChanges(5)
    expect(applyOperatorStateChanges(restored, written(changes))).toEqual([])
  })

  it('are its whole state at the first call that does not say what was restored', () => {
    const operator = opened(new Listing(), [1])
    operator.list = []
    expect(applyOperatorStateChanges([1], operator.takeStateChanges(1))).toEqual([])
    expect(operator.takeStateChanges(2)).toBeUndefined()
    expect(applyOperatorStateChanges([2], undefined)).toEqual([2])
  })
})
