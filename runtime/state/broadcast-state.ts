import { type MapState, type MapStateDescriptor, MillraceError } from '../core/index.js'
import { fromInternalKey, type InternalKey, toInternalKey } from './keys.js'
import { elementOf, redistributed, redistributionOf } from './redistribution.js'
import { codecOf, readerOf, type StateCodec } from './state-codec.js'
import { pack, unpack } from './structural.js'

/** One broadcast state in a checkpoint. */
interface StoredState {
  readonly broadcastState: string
  readonly serde: string
  /** Packed at the snapshot: values may change before the checkpoint is written. */
  readonly data: Uint8Array
}

/** The broadcast states of one subtask. Every subtask writes all of them, and each takes over the whole of some subtask. */
export class BroadcastStateStore {
  readonly #states = new Map<string, HeapBroadcastState>()
  /** Restored states that are no longer declared: kept for a later version of the job. */
  readonly #unclaimed: readonly unknown[]

  /** Throws STATE_DESCRIPTOR when a state was written with another serde. */
  constructor(
    // biome-ignore lint/suspicious/noExplicitAny: descriptors of any element type
    declared: readonly MapStateDescriptor<any, any>[],
    restored: readonly unknown[],
  ) {
    for (const descriptor of declared) this.#states.set(descriptor.name, new HeapBroadcastState(codecOf(descriptor)))
    this.#unclaimed = restored.filter((element) => isStored(element) && !this.#fill(elementOf(element) as StoredState))
  }

  #fill({ broadcastState, serde, data }: StoredState): boolean {
    const state = this.#states.get(broadcastState)
    state?.fill(readerOf(state.codec, serde, broadcastState)(unpack(data)))
    return state !== undefined
  }

  /** Throws STATE_DESCRIPTOR for a state that was not declared. */
  get<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V> {
    const state = this.#states.get(descriptor.name)
    if (state !== undefined) return state as unknown as MapState<K, V>
    throw new MillraceError('STATE_DESCRIPTOR', {
      what: `there is no broadcast state "${descriptor.name}"`,
      todo: `Give its descriptor to broadcast(...); known are: ${[...this.#states.keys()].map((name) => `"${name}"`).join(', ')}.`,
    })
  }

  /** As elements of operator state. Throws STATE_UNSERIALISABLE. */
  snapshot(): unknown[] {
    const elements = [...this.#states].map(([name, { codec, entriesByKey }]): StoredState => {
      return { broadcastState: name, serde: codec.serdeId, data: pack(codec.toData(entriesByKey)) }
    })
    return [...elements.map((element) => redistributed('broadcast', element)), ...this.#unclaimed]
  }
}

function isStored(element: unknown): boolean {
  return redistributionOf(element) === 'broadcast' && typeof (elementOf(element) as StoredState).broadcastState === 'string'
}

/** A map of operator state. */
export class HeapBroadcastState implements MapState<unknown, unknown> {
  readonly entriesByKey = new Map<InternalKey, unknown>()
  constructor(readonly codec: StateCodec<unknown>) {}

  fill(restored: unknown): void {
    for (const [key, value] of restored as Map<InternalKey, unknown>) this.entriesByKey.set(key, value)
  }

  get(key: unknown): unknown {
    return this.entriesByKey.get(toInternalKey(key))
  }
  has(key: unknown): boolean {
    return this.entriesByKey.has(toInternalKey(key))
  }
  put(key: unknown, value: unknown): void {
    this.entriesByKey.set(toInternalKey(key), value)
  }
  putAll(entries: Iterable<readonly [unknown, unknown]>): void {
    for (const [key, value] of entries) this.put(key, value)
  }
  remove(key: unknown): void {
    this.entriesByKey.delete(toInternalKey(key))
  }
  *entries(): IterableIterator<[unknown, unknown]> {
    for (const [key, value] of this.entriesByKey) yield [fromInternalKey(key), value]
  }
  *keys(): IterableIterator<unknown> {
    for (const key of this.entriesByKey.keys()) yield fromInternalKey(key)
  }
  *values(): IterableIterator<unknown> {
    yield* this.entriesByKey.values()
  }
  isEmpty(): boolean {
    return this.entriesByKey.size === 0
  }
  clear(): void {
    this.entriesByKey.clear()
  }
}

/** The reading half of a map state, so that the side that must not write cannot. */
export function readOnly<K, V>(state: MapState<K, V>): Pick<MapState<K, V>, 'get' | 'has' | 'entries' | 'keys' | 'values' | 'isEmpty'> {
  return {
    get: (key) => state.get(key),
    has: (key) => state.has(key),
    entries: () => state.entries(),
    keys: () => state.keys(),
    values: () => state.values(),
    isEmpty: () => state.isEmpty(),
  }
}
