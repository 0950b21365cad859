import { type AnyStateDescriptor, MillraceError, type Window } from '../core/index.js'
import { type KeyGroupRange, keyGroupOf } from './key-groups.js'
import { fromInternalKey, type InternalKey, toInternalKey } from './keys.js'
import { type DecodedSegment, encodeSegment, type RowBlock, type StateInfo } from './segment.js'
import { codecOf, readerOf, type StateCodec } from './state-codec.js'
import { type Namespace, StateTable } from './state-table.js'
import { TimeToLive } from './time-to-live.js'
import { dropExpired, isTimed, liveRows, timedCodec, untimedCodec } from './timed-codec.js'
import { TimerQueue } from './timer-queue.js'

/** Turns namespaces (windows) into plain data and back; from the window assigner. */
export interface NamespaceCodec {
  toData(window: Window): unknown
  fromData(data: unknown): Window
}

const EVENT_TIMERS = '(event timers)'
const PROCESSING_TIMERS = '(processing timers)'

interface RegisteredTable {
  readonly table: StateTable<unknown>
  readonly codec: StateCodec<unknown>
}

/**
 * The heap backend: all keyed state and timers of one operator of one subtask. Live objects in memory; at a snapshot what
 * changed is encoded at once, in key-group order, into a segment (`state/segment.ts`), and writing it is the caller's.
 */
export class KeyedStateBackend {
  currentKey: InternalKey = ''
  readonly eventTimers = new TimerQueue()
  readonly processingTimers = new TimerQueue()
  namespaceCodec: NamespaceCodec | undefined
  /** The subtask's processing time, epoch ms, for state with a time to live. */
  readonly now: () => number
  #tracking = false
  readonly #tables = new Map<string, RegisteredTable>()
  /** Restored rows of states that are not registered yet, by state name. */
  readonly #unclaimed = new Map<string, RestoredRows>()

  constructor(
    readonly maxParallelism: number,
    readonly range: KeyGroupRange,
    now: () => number = noClock,
  ) {
    this.now = now
  }

  /** Notes changes from here on, so that `snapshotChanges` can write only them. */
  set tracking(on: boolean) {
    this.#tracking = on
    for (const { table } of this.#tables.values()) table.tracking = on
    this.eventTimers.tracking = on
    this.processingTimers.tracking = on
  }

  /** Throws KEY_INVALID. */
  setCurrentKey(key: unknown): void {
    this.currentKey = typeof key === 'string' && key.charCodeAt(0) !== 0 ? key : toInternalKey(key)
  }

  /** The key as the job's key selector returned it (structurally). */
  get currentUserKey(): unknown {
    return fromInternalKey(this.currentKey)
  }

  get entries(): number {
    let entries = 0
    for (const { table } of this.#tables.values()) entries += table.size
    return entries
  }

  /** Whether the checkpoint holds rows of this state that no table has taken yet. */
  hasRestored(name: string): boolean {
    return this.#unclaimed.has(name)
  }

  /** The table of a declared state; the same descriptor name gives the same table. */
  table(descriptor: AnyStateDescriptor): StateTable<unknown> {
    if (descriptor.name === '') throw new MillraceError('STATE_DESCRIPTOR', { what: 'a state descriptor has no name', todo: 'Give it one.' })
    const codec = codecOf(descriptor)
    const { ttl, kind, name } = descriptor
    return this.tableWith(name, ttl === undefined ? untimedCodec(codec) : timedCodec(codec, kind, new TimeToLive(ttl, this.now)))
  }

  /** A table with its own codec, for operators' internal state. */
  tableWith<V>(name: string, codec: StateCodec<V>): StateTable<V> {
    const known = this.#tables.get(name)
    if (known !== undefined) {
      if (known.codec.kind !== codec.kind) throw twoKinds(name, known.codec.kind, codec.kind)
      if (isTimed(known.codec.serdeId) !== isTimed(codec.serdeId)) throw twoKinds(name, codec.kind, `${codec.kind} (with another time to live)`)
      return known.table as StateTable<V>
    }
    const table = new StateTable<V>()
    const restored = this.#unclaimed.get(name)
    if (restored !== undefined) {
      this.#unclaimed.delete(name)
      if (restored.info.kind !== codec.kind) throw twoKinds(name, restored.info.kind, codec.kind)
      restored.fill(table, readerOf(codec, restored.info.serde, name), (data) => this.#namespaceFromData(data))
      if (codec.live !== undefined) dropExpired(table, codec)
    }
    table.tracking = this.#tracking
    this.#tables.set(name, { table: table as StateTable<unknown>, codec: codec as StateCodec<unknown> })
    return table
  }

  /** Everything, as one base segment; from here `snapshotChanges` counts from this point. Undefined when there is nothing. */
  snapshotAll(): Uint8Array | undefined {
    return this.#encode(
      'base',
      (table) => ({ rows: table.takeAll(), tombstones: [] }),
      (timers) => ({ rows: timers.takeAll(), tombstones: [] }),
    )
  }

  /** What changed since the last snapshot, as a delta segment. Undefined when nothing did. */
  snapshotChanges(): Uint8Array | undefined {
    return this.#encode(
      'delta',
      (table) => table.takeChanges(),
      (timers) => timers.takeChanges(),
    )
  }

  #encode(
    kind: 'base' | 'delta',
    takeRows: (table: StateTable<unknown>) => ReturnType<StateTable<unknown>['takeChanges']>,
    takeTimers: (timers: TimerQueue) => ReturnType<TimerQueue['takeChanges']>,
  ): Uint8Array | undefined {
    const states: StateInfo[] = []
    const groups = new Groups(this.maxParallelism)
    const namespaces = new NamespaceData(this.namespaceCodec)
    for (const [name, { table, codec }] of this.#tables) {
      const state = states.push({ name, kind: codec.kind, serde: codec.serdeId }) - 1
      const { rows, tombstones } = takeRows(table)
      for (const row of tombstones) groups.remove(state, row.key, namespaces.of(row.namespace))
      for (const row of kind === 'base' && codec.live !== undefined ? liveRows(rows, codec) : rows)
        groups.put(state, row.key, namespaces.of(row.namespace), codec.toData(row.value))
    }
    for (const restored of this.#unclaimed.values()) {
      // State of an operator that has not asked for it: kept as it was restored.
      const state = states.push(restored.info) - 1
      if (kind === 'base') restored.each((key, namespace, value) => groups.put(state, key, namespace, value))
    }
    for (const [name, timers] of [[EVENT_TIMERS, this.eventTimers] as const, [PROCESSING_TIMERS, this.processingTimers] as const]) {
      const state = states.push({ name, kind: 'timers', serde: 'structural' }) - 1
      const { rows, tombstones } = takeTimers(timers)
      for (const t of tombstones) groups.remove(state, t.key, namespaces.ofTimer(t.time, t.namespace))
      for (const t of rows) groups.put(state, t.key, namespaces.ofTimer(t.time, t.namespace), null)
    }
    if (groups.rows === 0) return undefined
    return encodeSegment({ kind, maxParallelism: this.maxParallelism, states, rows: groups.rows }, groups.blocks)
  }

  /**
   * Takes the rows of this backend's key groups out of segments, given in the order in which they were written, of one
   * or several former subtasks. To be called before any table is asked for.
   */
  restore(segments: readonly DecodedSegment[]): void {
    const timers = new Map([
      [EVENT_TIMERS, new RestoredRows({ name: EVENT_TIMERS, kind: 'timers', serde: 'structural' })],
      [PROCESSING_TIMERS, new RestoredRows({ name: PROCESSING_TIMERS, kind: 'timers', serde: 'structural' })],
    ])
    for (const segment of segments) {
      for (const { block } of segment.blocks(this.range.first, this.range.last)) {
        const info = segment.header.states[block.state]
        let rows = timers.get(info.name) ?? this.#unclaimed.get(info.name)
        if (rows === undefined) {
          rows = new RestoredRows(info)
          this.#unclaimed.set(info.name, rows)
        }
        rows.apply(block)
      }
    }
    // Timers of windows need the namespace codec, which the operator sets when it opens.
    this.#restoredTimers = timers
  }

  #restoredTimers: ReadonlyMap<string, RestoredRows> = new Map()

  /** Puts restored timers into the queues; the operator calls it in `open`, once it has set `namespaceCodec`. */
  openTimers(): void {
    for (const [name, queue] of [[EVENT_TIMERS, this.eventTimers] as const, [PROCESSING_TIMERS, this.processingTimers] as const]) {
      this.#restoredTimers.get(name)?.each((key, namespace) => {
        const [time, window] = namespace as [number, unknown]
        queue.register(time, key, this.#namespaceFromData(window))
      })
    }
    this.#restoredTimers = new Map()
  }

  #namespaceFromData(data: unknown): Namespace {
    return data === null ? null : (this.namespaceCodec as NamespaceCodec).fromData(data)
  }
}

function noClock(): never {
  throw new MillraceError('ASSERTION', { what: 'state with a time to live needs a backend with a clock' })
}

function twoKinds(name: string, before: string, now: string): MillraceError {
  return new MillraceError('STATE_DESCRIPTOR', {
    what: `state "${name}" is ${before} state and is now asked for as ${now} state`,
    todo: 'Use one descriptor for one name; a state that changes its kind needs a new name.',
  })
}

/** Namespaces as data, one object for each, so that a segment holds it once however many rows are under it. */
class NamespaceData {
  readonly #windows = new Map<Namespace, unknown>([[null, null]])
  readonly #timers = new Map<Namespace, Map<number, unknown>>()
  constructor(readonly codec: NamespaceCodec | undefined) {}

  of(namespace: Namespace): unknown {
    let data = this.#windows.get(namespace)
    if (data === undefined) {
      data = (this.codec as NamespaceCodec).toData(namespace as Window)
      this.#windows.set(namespace, data)
    }
    return data
  }

  /** A timer stands under its time and its namespace. */
  ofTimer(time: number, namespace: Namespace): unknown {
    let times = this.#timers.get(namespace)
    if (times === undefined) {
      times = new Map()
      this.#timers.set(namespace, times)
    }
    let data = times.get(time)
    if (data === undefined) {
      data = [time, this.of(namespace)]
      times.set(time, data)
    }
    return data
  }
}

/** Sorts rows into key groups for a segment. */
class Groups {
  readonly blocks = new Map<number, RowBlock[]>()
  rows = 0
  constructor(readonly maxParallelism: number) {}

  put(state: number, key: InternalKey, namespace: unknown, value: unknown): void {
    const block = this.#block(state, key)
    block.keys.push(key)
    block.namespaces.push(namespace)
    block.values.push(value)
    this.rows++
  }

  remove(state: number, key: InternalKey, namespace: unknown): void {
    const block = this.#block(state, key)
    block.removedKeys.push(key)
    block.removedNamespaces.push(namespace)
    this.rows++
  }

  #block(state: number, key: InternalKey): RowBlock {
    const keyGroup = keyGroupOf(key, this.maxParallelism)
    let blocks = this.blocks.get(keyGroup)
    if (blocks === undefined) {
      blocks = []
      this.blocks.set(keyGroup, blocks)
    }
    let block = blocks.at(-1)
    if (block === undefined || block.state !== state) {
      block = { state, removedKeys: [], removedNamespaces: [], keys: [], namespaces: [], values: [] }
      blocks.push(block)
    }
    return block
  }
}

/** Rows of one state while segments are replayed: later ones win, tombstones remove. */
class RestoredRows {
  readonly #rows = new Map<InternalKey, Map<string, { readonly namespace: unknown; readonly value: unknown }>>()
  constructor(readonly info: StateInfo) {}

  apply(block: RowBlock): void {
    for (let i = 0; i < block.removedKeys.length; i++) {
      this.#rows.get(block.removedKeys[i] as InternalKey)?.delete(namespaceId(block.removedNamespaces[i]))
    }
    for (let i = 0; i < block.keys.length; i++) {
      const key = block.keys[i] as InternalKey
      let rows = this.#rows.get(key)
      if (rows === undefined) {
        rows = new Map()
        this.#rows.set(key, rows)
      }
      rows.set(namespaceId(block.namespaces[i]), { namespace: block.namespaces[i], value: block.values[i] })
    }
  }

  each(visit: (key: InternalKey, namespace: unknown, value: unknown) => void): void {
    for (const [key, rows] of this.#rows) for (const { namespace, value } of rows.values()) visit(key, namespace, value)
  }

  /** A base may have been written while nobody had asked for these rows, so each counts as persisted: its removal leaves a tombstone. */
  fill<V>(table: StateTable<V>, fromData: (data: unknown) => V, namespaceFromData: (data: unknown) => Namespace): void {
    this.each((key, namespace, value) => {
      table.insert(key, namespaceFromData(namespace), fromData(value)).persisted = true
    })
  }
}

function namespaceId(data: unknown): string {
  return data === null ? '' : JSON.stringify(data, exactly)
}

/** What JSON would make equal (infinite times) or refuse (bigint) as text. */
function exactly(_field: string, value: unknown): unknown {
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? `${typeof value} ${value}` : value
}
