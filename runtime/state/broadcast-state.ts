import { type MapState, type MapStateDescriptor, MillraceError } from '../core/index.js'
import { fromInternalKey, type InternalKey, toInternalKey } from './keys.js'
import { type NamedStateChange, stateKey } from './operator-state-changes.js'
import { elementOf, redistributed, redistributionOf } from './redistribution.js'
import { changeToData, MapChange } from './row-change.js'
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
    state?.fill(readerOf(state.codec, serde, broadcastState)(unpack(data)), serde)
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
    return [...[...this.#states].map(([name, state]) => storedState(name, state)), ...this.#unclaimed]
  }

  /** What changed since the last call, or since the states were restored. Throws STATE_UNSERIALISABLE. */
  takeChanges(): NamedStateChange[] {
    return [...this.#states].flatMap(([name, state]) => {
      const change = state.takeChange(() => storedState(name, state))
      return change === undefined ? [] : [{ state: stateKey('broadcastState', name), ...change }]
    })
  }
}

function storedState(broadcastState: string, { codec, entriesByKey }: HeapBroadcastState): unknown {
  return redistributed('broadcast', { broadcastState, serde: codec.serdeId, data: pack(codec.toData(entriesByKey)) } satisfies StoredState)
}

function isStored(element: unknown): boolean {
  return redistributionOf(element) === 'broadcast' && typeof (elementOf(element) as StoredState).broadcastState === 'string'
}

/** A map of operator state. */
export class HeapBroadcastState implements MapState<unknown, unknown> {
  readonly entriesByKey = new Map<InternalKey, unknown>()
  /** Since the last `takeChange`. A map that was not restored is new as a whole. */
  #change: MapChange | 'all' | undefined = 'all'
  #restored = false
  constructor(readonly codec: StateCodec<unknown>) {}

  fill(restored: unknown, serde: string): void {
    for (const [key, value] of restored as Map<InternalKey, unknown>) this.entriesByKey.set(key, value)
    // Several that become one, or another version of the serde: no restored element says what the map is now.
    this.#change = this.#restored || serde !== this.codec.serdeId ? 'all' : undefined
    this.#restored = true
  }

  changedWhole(): void {
    this.#change = 'all'
  }

  /** The map's element, or what changed in its entries; undefined when nothing did. */
  takeChange(element: () => unknown): { readonly elements: readonly unknown[] } | { readonly entries: unknown } | undefined {
    const change = this.#change
    if (change === undefined) return undefined
    const taken = change === 'all' ? { elements: [element()] } : { entries: unpack(pack(changeToData(this.codec, this.entriesByKey, change))) }
    this.#change = undefined
    return taken
  }

  #note(change: (noted: MapChange) => void): void {
    if (this.#change === 'all') return
    this.#change ??= new MapChange()
    change(this.#change)
    if (this.#change.isMostOf(this.entriesByKey)) this.#change = 'all'
  }

  get(key: unknown): unknown {
    return this.entriesByKey.get(toInternalKey(key))
  }
  has(key: unknown): boolean {
    return this.entriesByKey.has(toInternalKey(key))
  }
  put(key: unknown, value: unknown): void {
    const internalKey = toInternalKey(key)
    this.entriesByKey.set(internalKey, value)
    this.#note((noted) => noted.notePut(internalKey))
  }
  putAll(entries: Iterable<readonly [unknown, unknown]>): void {
    for (const [key, value] of entries) this.put(key, value)
  }
  remove(key: unknown): void {
    const internalKey = toInternalKey(key)
    if (this.entriesByKey.delete(internalKey)) this.#note((noted) => noted.noteRemove(internalKey))
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
    if (this.entriesByKey.size > 0) this.changedWhole()
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
