import { assert } from '../core/index.js'
import { type InternalKey, toInternalKey } from './keys.js'
import type { StateInfo } from './segment.js'
import type { StateCodec } from './state-codec.js'
import { isTimed } from './timed-codec.js'

/**
 * Which part of a row changed since the last snapshot, for rows that the log has: of a list the index from which its elements are new,
 * of a map its changed entries. No note: all of it.
 */
export type RowChange = number | MapChange

/** The keys of a map that were removed and put. What was removed and put again is both, since it moved to the map's end. */
export class MapChange {
  /** In an order in which putting them gives the map its order. */
  readonly put = new Set<InternalKey>()
  /** Most maps are only put into. */
  #removed: Set<InternalKey> | undefined

  get removed(): Iterable<InternalKey> {
    return this.#removed ?? []
  }

  /** Entries that come and go are not to be noted for ever, and to note more than the half of a map costs more than to write all of it. */
  isMostOf(map: ReadonlyMap<InternalKey, unknown>): boolean {
    return 2 * (this.put.size + (this.#removed?.size ?? 0)) > map.size
  }

  notePut(key: InternalKey): void {
    this.put.add(key)
  }

  noteRemove(key: InternalKey): void {
    this.put.delete(key)
    this.#removed ??= new Set()
    this.#removed.add(key)
  }
}

/** A change as it stands in a segment: of a list the data of a list with the new elements, of a map `[removed keys, the data of a map with what was put]`. */
export function changeToData<V>(codec: StateCodec<V>, value: V, change: RowChange): unknown {
  if (typeof change === 'number') return codec.toData((value as unknown[]).slice(change) as V)
  const map = value as Map<InternalKey, unknown>
  const put = new Map([...change.put].map((key) => [key, map.get(key)]))
  const { mapKeys } = codec
  assert(mapKeys !== undefined, 'entries are noted only of map state')
  return [[...change.removed].map(mapKeys.toData), codec.toData(put as V)]
}

/** Puts a change from a segment into a live value and returns that; `read` and `readKey` are the codec's for its serde. */
export function applyToValue<V>(value: V | undefined, data: unknown, read: (data: unknown) => V, readKey?: (data: unknown) => InternalKey): V {
  if (readKey === undefined) {
    const added = read(data)
    if (value === undefined) return added
    for (const element of added as unknown[]) (value as unknown[]).push(element)
    return value
  }
  const [removed, put] = data as [unknown[], unknown]
  const map = (value ?? new Map()) as Map<InternalKey, unknown>
  for (const key of removed) map.delete(readKey(key))
  for (const [key, entry] of read(put) as Map<InternalKey, unknown>) map.set(key, entry)
  return map as V
}

/** A list's or map's data while changes are put into it, without its codec: columns of times (where it has any), keys (of a map) and values. */
export interface FoldedData {
  readonly isEmpty: boolean
  apply(change: unknown): void
  data(): unknown
}

/** `data` undefined: nothing is there yet. */
export function foldedData({ kind, serde }: StateInfo, data: unknown): FoldedData {
  assert(kind === 'list' || kind === 'map', 'only lists and maps change in part')
  return kind === 'list' ? new FoldedList(isTimed(serde), data) : new FoldedMap(isTimed(serde), data)
}

/** Changes of one row, one after the other, as one. */
export function composeChanges(info: StateInfo, changes: readonly unknown[]): unknown {
  const folded = foldedData(info, undefined)
  for (const change of changes) folded.apply(change)
  if (info.kind === 'list') return folded.data()
  const removed = new Map<InternalKey, unknown>()
  for (const [keys] of changes as readonly [unknown[], unknown][]) for (const key of keys) removed.set(keyIdentity(key), key)
  return [[...removed.values()], folded.data()]
}

class FoldedList implements FoldedData {
  readonly #columns: unknown[][]

  constructor(
    readonly timed: boolean,
    data: unknown,
  ) {
    this.#columns = timed ? [[], []] : [[]]
    if (data !== undefined) this.apply(data)
  }

  get isEmpty(): boolean {
    return this.#columns[0].length === 0
  }

  apply(change: unknown): void {
    const columns = (this.timed ? change : [change]) as readonly unknown[][]
    columns.forEach((column, i) => {
      for (const value of column) this.#columns[i].push(value)
    })
  }

  data(): unknown {
    return this.timed ? this.#columns : this.#columns[0]
  }
}

class FoldedMap implements FoldedData {
  /** By the key's identity: [time, key, value]. */
  readonly #entries = new Map<InternalKey, readonly [unknown, unknown, unknown]>()

  constructor(
    readonly timed: boolean,
    data: unknown,
  ) {
    if (data !== undefined) this.#put(data)
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0
  }

  apply(change: unknown): void {
    const [removed, put] = change as [unknown[], unknown]
    for (const key of removed) this.#entries.delete(keyIdentity(key))
    this.#put(put)
  }

  #put(data: unknown): void {
    const [times, [keys, values]] = (this.timed ? data : [[], data]) as [unknown[], [unknown[], unknown[]]]
    keys.forEach((key, i) => {
      this.#entries.set(keyIdentity(key), [times[i], key, values[i]])
    })
  }

  data(): unknown {
    const entries = [...this.#entries.values()]
    const plain = [entries.map(([, key]) => key), entries.map(([, , value]) => value)]
    return this.timed ? [entries.map(([time]) => time), plain] : plain
  }
}

/** A map's key as it was written: the bytes of a serde, or a key as functions use it. */
function keyIdentity(data: unknown): InternalKey {
  return data instanceof Uint8Array ? Array.from(data, (byte) => String.fromCharCode(byte)).join('') : toInternalKey(data)
}
