import type { Window } from '../core/index.js'
import { ChangeList, CLEAN, type Listed, REMOVED } from './change-list.js'
import type { InternalKey } from './keys.js'
import { MapChange, type RowChange } from './row-change.js'

/** What state is kept under beside the key: a window, or null for the key alone. */
export type Namespace = Window | null

/** One row of a table. Kept in a short chain of the key's rows, one a namespace. */
export class StateEntry<V> implements Listed {
  next: StateEntry<V> | null = null
  place = CLEAN
  persisted = false

  constructor(
    readonly key: InternalKey,
    readonly namespace: Namespace,
    public value: V,
  ) {}
}

export interface Tombstone {
  readonly key: InternalKey
  readonly namespace: Namespace
}

/** What changed; `notes` says of the row at the same index which part did, if not all of it. */
export interface TakenRows<V> {
  readonly rows: StateEntry<V>[]
  readonly notes: readonly (RowChange | undefined)[]
  readonly tombstones: Tombstone[]
}

const CHAIN_LIMIT = 8

/**
 * Rows by key and namespace. A key's first rows stand in a chain that hangs in one Map (most keys have one row, or a
 * handful of windows); what exceeds the chain moves to a Map of its own, so many windows on one key stay cheap.
 *
 * Changes are tracked when `tracking` is on: `touch` notes a row as changed since the last `takeChanges`, removals
 * of rows that were written before leave tombstones. A row that came and went between two snapshots costs nothing there.
 * Of a list or map that was written before, `touchAppended`, `touchPut` and `touchRemoved` note only the part that changed.
 */
export class StateTable<V> {
  size = 0
  tracking = false
  /** Notes no parts of rows: the log has them in a form to which no parts can be added. Until the next base. */
  wholeRows = false
  /** Told of rows that come from outside, not by an element. */
  loaded: ((entry: StateEntry<V>) => void) | undefined
  readonly #heads = new Map<InternalKey, StateEntry<V>>()
  readonly #wide = new Map<InternalKey, Map<string, StateEntry<V>>>()
  readonly #changes = new ChangeList<StateEntry<V>, RowChange>()

  get(key: InternalKey, namespace: Namespace): StateEntry<V> | null {
    let entry = this.#heads.get(key)
    if (entry === undefined) return null
    if (entry.namespace === namespace) return entry
    let length = 1
    for (;;) {
      if (sameNamespace(entry.namespace, namespace)) return entry
      if (entry.next === null) break
      entry = entry.next
      length++
    }
    if (length < CHAIN_LIMIT) return null
    return this.#wide.get(key)?.get(namespace?.id ?? '') ?? null
  }

  /** Adds a row that is not there yet. */
  insert(key: InternalKey, namespace: Namespace, value: V): StateEntry<V> {
    const entry = new StateEntry(key, namespace, value)
    const head = this.#heads.get(key)
    if (head === undefined) this.#heads.set(key, entry)
    else this.#append(head, entry)
    this.size++
    if (this.tracking) this.touch(entry)
    return entry
  }

  #append(head: StateEntry<V>, entry: StateEntry<V>): void {
    let last = head
    let length = 1
    while (last.next !== null) {
      last = last.next
      length++
    }
    if (length < CHAIN_LIMIT) {
      last.next = entry
      return
    }
    let wide = this.#wide.get(entry.key)
    if (wide === undefined) {
      wide = new Map()
      this.#wide.set(entry.key, wide)
    }
    wide.set(entry.namespace?.id ?? '', entry)
  }

  /** To be called after each change of `entry.value`, unless one of the following is. */
  touch(entry: StateEntry<V>): void {
    if (this.tracking) this.#changes.add(entry)
  }

  /** An element was added at the end of the row's list, and nothing else of it changed. */
  touchAppended(entry: StateEntry<V>): void {
    if (!this.tracking || entry.place !== CLEAN) return
    if (this.#writesWhole(entry)) this.#changes.add(entry)
    else this.#changes.addPart(entry, (entry.value as unknown[]).length - 1)
  }

  /** `mapKey` was put into the row's map, and nothing else of it changed. */
  touchPut(entry: StateEntry<V>, mapKey: InternalKey): void {
    const change = this.#mapChange(entry)
    if (change === undefined) return
    change.notePut(mapKey)
    this.#bound(entry, change)
  }

  /** `mapKey` was removed from the row's map, and nothing else of it changed. */
  touchRemoved(entry: StateEntry<V>, mapKey: InternalKey): void {
    const change = this.#mapChange(entry)
    if (change === undefined) return
    change.noteRemove(mapKey)
    this.#bound(entry, change)
  }

  #mapChange(entry: StateEntry<V>): MapChange | undefined {
    if (!this.tracking) return undefined
    if (entry.place !== CLEAN) return this.#changes.noteOf(entry) as MapChange | undefined
    if (this.#writesWhole(entry)) {
      this.#changes.add(entry)
      return undefined
    }
    const change = new MapChange()
    this.#changes.addPart(entry, change)
    return change
  }

  #writesWhole(entry: StateEntry<V>): boolean {
    return this.wholeRows || !entry.persisted
  }

  #bound(entry: StateEntry<V>, change: MapChange): void {
    if (change.isMostOf(entry.value as Map<InternalKey, unknown>)) this.#changes.add(entry)
  }

  remove(entry: StateEntry<V>): void {
    if (entry.place === REMOVED || !this.#unlink(entry)) return
    this.size--
    this.#changes.remove(entry, this.tracking)
  }

  /** Whether something changed since the last snapshot. */
  get changed(): boolean {
    return !this.#changes.isEmpty
  }

  /** Takes over a row's value from the log, where it is no change. */
  putWritten(key: InternalKey, namespace: Namespace, value: V): void {
    const entry = this.get(key, namespace) ?? this.insert(key, namespace, value)
    entry.value = value
    this.#changes.settle(entry)
  }

  /** Takes over from the log that a row is gone. */
  removeWritten(key: InternalKey, namespace: Namespace): void {
    const entry = this.get(key, namespace)
    if (entry === null) return
    entry.persisted = false
    this.remove(entry)
  }

  #unlink(entry: StateEntry<V>): boolean {
    const head = this.#heads.get(entry.key)
    if (head === undefined) return false
    if (head === entry) {
      const replacement = entry.next ?? this.#narrow(entry.key)
      if (replacement === null) this.#heads.delete(entry.key)
      else this.#heads.set(entry.key, replacement)
      entry.next = null
      if (replacement !== null) this.#refill(entry.key, replacement)
      return true
    }
    for (let previous = head; previous.next !== null; previous = previous.next) {
      if (previous.next !== entry) continue
      previous.next = entry.next
      entry.next = null
      this.#refill(entry.key, head)
      return true
    }
    const wide = this.#wide.get(entry.key)
    if (wide === undefined || !wide.delete(entry.namespace?.id ?? '')) return false
    if (wide.size === 0) this.#wide.delete(entry.key)
    return true
  }

  /** Keeps the invariant that a wide map exists only behind a full chain. */
  #refill(key: InternalKey, head: StateEntry<V>): void {
    if (this.#wide.size === 0) return
    const moved = this.#narrow(key)
    if (moved !== null) this.#append(head, moved)
  }

  #narrow(key: InternalKey): StateEntry<V> | null {
    const wide = this.#wide.get(key)
    if (wide === undefined) return null
    const [id, entry] = wide.entries().next().value as [string, StateEntry<V>]
    wide.delete(id)
    if (wide.size === 0) this.#wide.delete(key)
    return entry
  }

  *keys(): IterableIterator<InternalKey> {
    yield* this.#heads.keys()
  }

  /** The key's rows as they are at the call: rows may be removed meanwhile, which moves others from the wide map to the chain. */
  entriesOf(key: InternalKey): StateEntry<V>[] {
    const entries: StateEntry<V>[] = []
    for (let entry = this.#heads.get(key) ?? null; entry !== null; entry = entry.next) entries.push(entry)
    const wide = this.#wide.get(key)
    if (wide !== undefined) entries.push(...wide.values())
    return entries
  }

  /** Not to be used while rows come or go. */
  *entries(): IterableIterator<StateEntry<V>> {
    for (const head of this.#heads.values()) {
      for (let entry: StateEntry<V> | null = head; entry !== null; entry = entry.next) yield entry
    }
    for (const wide of this.#wide.values()) yield* wide.values()
  }

  /** Changed rows and tombstones since the last call; from here they count as written. */
  takeChanges(): TakenRows<V> {
    return this.#changes.take()
  }

  /** Every row, and from here all count as written: the start of a new base. */
  takeAll(): StateEntry<V>[] {
    this.#changes.take()
    this.wholeRows = false
    const rows = [...this.entries()]
    if (this.tracking) for (const row of rows) row.persisted = true
    return rows
  }
}

function sameNamespace(a: Namespace, b: Namespace): boolean {
  return a === b || (a !== null && b !== null && a.maxTimestamp === b.maxTimestamp && a.id === b.id)
}
