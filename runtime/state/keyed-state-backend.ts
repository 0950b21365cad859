import { type AnyStateDescriptor, assert, MillraceError, type Window } from '../core/index.js'
import { encodeDelta } from './delta-segment.js'
import type { KeyGroupRange } from './key-groups.js'
import type { KeyLoader, LoadedRows } from './key-loader.js'
import { fromInternalKey, type InternalKey, toInternalKey } from './keys.js'
import { RestoredRows } from './restored-rows.js'
import { changeToData } from './row-change.js'
import { Groups, NamespaceData } from './row-groups.js'
import { type DecodedSegment, encodeSegment, type RowBlock, type StateInfo } from './segment.js'
import { SegmentWriter } from './segment-writer.js'
import { codecOf, type StateCodec } from './state-codec.js'
import { StateOnDemand } from './state-on-demand.js'
import { type Namespace, type StateEntry, StateTable } from './state-table.js'
import { SweepBudget } from './sweep-budget.js'
import { TimeToLive } from './time-to-live.js'
import { isTimed, liveRows, timedCodec, untimedCodec } from './timed-codec.js'
import { EVENT_TIMERS, PROCESSING_TIMERS } from './timed-rows.js'
import { TimerQueue } from './timer-queue.js'
import { applyToTable, applyToTimers, Readers, type RegisteredTable, twoKinds } from './written-rows.js'

/** Turns namespaces (windows) into plain data and back; from the window assigner. */
export interface NamespaceCodec {
  toData(window: Window): unknown
  fromData(data: unknown): Window
}

type EncodeGroups = (states: readonly StateInfo[], groups: Groups) => Uint8Array | undefined

/** What a small row takes in memory with its key, about. */
const ROW_BYTES = 200
/** As far as that, the value of a row is among them. */
const SMALL_VALUE_BYTES = 64

/**
 * The heap backend: all keyed state and timers of one operator of one subtask. Live objects in memory; at a snapshot what
 * changed is encoded at once, in key-group order, into a segment (`state/segment.ts`), and writing it is the caller's.
 */
export class KeyedStateBackend {
  currentKey: InternalKey = ''
  /** What the sweeps of its timers may fire; see the accessors below. */
  readonly sweeps = new SweepBudget()
  readonly eventTimers = new TimerQueue(this.sweeps)
  readonly processingTimers = new TimerQueue(this.sweeps)
  namespaceCodec: NamespaceCodec | undefined
  /** The subtask's processing time, epoch ms, for state with a time to live. */
  readonly now: () => number
  /** Where not all keys are in memory; undefined: they are. */
  onDemand: StateOnDemand | undefined
  /** Told when timers have come into memory. */
  timersLoaded: (() => void) | undefined
  #tracking = false
  /** Of large values and parts of values that changed since it was opened; what has been overwritten since counts, too. */
  #changedBytes = 0
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

  /** How many timers may still fire before a sweep stops; Infinity unless set. Each that fires takes one. */
  get sweepBudget(): number {
    return this.sweeps.left
  }
  set sweepBudget(timers: number) {
    this.sweeps.left = timers
  }

  /** A sweep stopped because the budget was used up; `StreamOperator.resumeSweep` goes on with it. */
  get sweepPending(): boolean {
    return this.sweeps.eventTimePending || this.sweeps.processingTimePending
  }

  /**
   * While true no timer fires and a watermark passes as if all had: after a restore it tells operators how far their watermark had come,
   * without firing what waits for the next one.
   */
  get timersSuspended(): boolean {
    return this.sweeps.suspended
  }
  set timersSuspended(suspended: boolean) {
    this.sweeps.suspended = suspended
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

  /** Rows in memory, some of which may have expired: of tables and timers, and those that nobody has asked for. */
  get rows(): number {
    let rows = this.entries + this.eventTimers.size + this.processingTimers.size
    for (const restored of [...this.#unclaimed.values(), ...this.#unopenedTimers.values()]) rows += restored.size
    return rows
  }

  /** Bytes that they take, about. `writtenBytes`: of everything that was written of them and has not been merged away. */
  memoryBytes(writtenBytes = Number.POSITIVE_INFINITY): number {
    return this.rows * ROW_BYTES + Math.min(this.#changedBytes, writtenBytes) + (this.onDemand?.memoryBytes ?? 0)
  }

  /** Whether every row is in memory, so that {@link snapshotAll} says all there is. */
  get holdsWholeState(): boolean {
    return this.onDemand === undefined
  }

  /** Whether the checkpoint holds rows of this state that no table has taken yet. Whoever asks wants to see all of them. */
  hasRestored(name: string): boolean {
    if (this.onDemand?.loader.knows(name) === true) this.onDemand.needsAll = true
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
      // An operator of a new chain: the former one is not to be kept alive by its codec.
      if (known.codec.serdeId === codec.serdeId) known.codec = codec as StateCodec<unknown>
      return known.table as StateTable<V>
    }
    const table = new StateTable<V>()
    const restored = this.#unclaimed.get(name)
    if (restored !== undefined) {
      this.#unclaimed.delete(name)
      this.#fill(table, codec, restored)
    }
    table.tracking = this.#tracking
    this.#tables.set(name, { table: table as StateTable<unknown>, codec: codec as StateCodec<unknown> })
    return table
  }

  /** A base may have been written while nobody had asked for these rows, so each counts as persisted: its removal leaves a tombstone. */
  #fill<V>(table: StateTable<V>, codec: StateCodec<V>, restored: RestoredRows): void {
    const readers = new Readers(codec, restored.info.name)
    const stale: { readonly entry: StateEntry<V>; readonly whole: boolean }[] = []
    const { tracking } = table
    table.tracking = false
    restored.each((key, namespace, data, info) => {
      const value = readers.of(info)(data)
      const live = codec.live === undefined ? value : (codec.live(value) as V | undefined)
      if (info.serde !== codec.serdeId) table.wholeRows = true
      const entry = table.insert(key, this.#namespaceFromData(namespace), live ?? value)
      entry.persisted = true
      if (live !== value) stale.push({ entry, whole: live === undefined })
      if (live !== undefined) table.loaded?.(entry)
    })
    // What has expired goes from the log, too: else it would stay in segments for ever.
    table.tracking = this.#tracking
    for (const { entry, whole } of stale) {
      if (whole) table.remove(entry)
      else table.touch(entry)
    }
    table.tracking = tracking
  }

  /** Lets keys come into memory when they are needed. Instead of {@link restore}; `processedTo` see {@link StateOnDemand}. */
  restoreOnDemand(loader: KeyLoader, processedTo: number): void {
    this.onDemand = new StateOnDemand(loader, (rows) => this.#install(rows), processedTo)
    this.processingTimers.beyond = this.onDemand.processingTimers
  }

  /** The operator has been told how far event time had come. */
  beginAt(watermark: number): void {
    this.onDemand?.beginAt(watermark)
    this.eventTimers.beyond = this.onDemand?.eventTimers
  }

  #install(loaded: LoadedRows): void {
    for (const [name, rows] of loaded) {
      const registered = this.#tables.get(name)
      if (registered !== undefined) this.#fill(registered.table, registered.codec, rows)
      else if (isTimers(rows.info)) this.#unopenedTimers.set(name, rows)
      else {
        const known = this.#unclaimed.get(name)
        if (known === undefined) this.#unclaimed.set(name, rows)
        else known.add(rows)
      }
    }
    this.#fillTimers()
    this.timersLoaded?.()
  }

  /** Everything, as one base segment; from here `snapshotChanges` counts from this point. Undefined when there is nothing. */
  snapshotAll(): Uint8Array | undefined {
    return this.#encodeAll(this.#segment('base'))
  }

  /** The same as a segment of blocks, of about so many bytes. */
  snapshotBlocks(blockBytes: number): Uint8Array | undefined {
    const { maxParallelism, sweeps } = this
    return this.#encodeAll((states, groups) => {
      const isOverdue = (state: string, time: number) => state !== PROCESSING_TIMERS && time <= sweeps.sweptTo
      const writer = new SegmentWriter({ maxParallelism, blockBytes, isOverdue: (state, _key, _namespace, time) => isOverdue(state, time) })
      writer.putGroups(groups.blocks, states)
      return writer.finish('base')
    })
  }

  /** What changed since the last snapshot, in fewer bytes: for a log, where it is read as a whole or merged with what comes behind it. */
  takeDelta(): Uint8Array | undefined {
    const { maxParallelism } = this
    return this.#encodeChanges(new Groups(1), (states, { blocks }) => {
      const rows = blocks.get(0) ?? []
      const bytes = encodeDelta({ maxParallelism, states }, rows)
      this.#countChanged(bytes.length, rows)
      return bytes
    })
  }

  /** Small values that change again and again are not to add up. */
  #countChanged(bytes: number, blocks: readonly RowBlock[]): void {
    const wholeRows = blocks.reduce((sum, { keys, removedKeys }) => sum + keys.length + removedKeys.length, 0)
    this.#changedBytes += Math.max(0, bytes - SMALL_VALUE_BYTES * wholeRows)
  }

  /** What changed since the last snapshot, as a delta segment. Undefined when nothing did. */
  snapshotChanges(): Uint8Array | undefined {
    return this.#encodeChanges(new Groups(this.maxParallelism), this.#segment('delta'))
  }

  #segment(kind: 'base' | 'delta'): EncodeGroups {
    return (states, { rows, blocks }) => encodeSegment({ kind, maxParallelism: this.maxParallelism, states, rows }, blocks)
  }

  #encodeChanges(groups: Groups, encode: EncodeGroups): Uint8Array | undefined {
    const states: StateInfo[] = []
    this.#gather(
      { states, groups, all: false },
      (table) => table.takeChanges(),
      (timers) => timers.takeChanges(),
    )
    return groups.rows === 0 ? undefined : encode(states, groups)
  }

  #encodeAll(encode: EncodeGroups): Uint8Array | undefined {
    const states: StateInfo[] = []
    const groups = new Groups(this.maxParallelism)
    this.#gather(
      { states, groups, all: true },
      (table) => ({ rows: table.takeAll(), notes: [], tombstones: [] }),
      (timers) => ({ rows: timers.takeAll(), tombstones: [] }),
    )
    return groups.rows === 0 ? undefined : encode(states, groups)
  }

  #gather(
    { states, groups, all }: { readonly states: StateInfo[]; readonly groups: Groups; readonly all: boolean },
    takeRows: (table: StateTable<unknown>) => ReturnType<StateTable<unknown>['takeChanges']>,
    takeTimers: (timers: TimerQueue) => ReturnType<TimerQueue['takeChanges']>,
  ): void {
    const namespaces = new NamespaceData(this.namespaceCodec)
    for (const [name, { table, codec }] of this.#tables) {
      const state = states.push({ name, kind: codec.kind, serde: codec.serdeId }) - 1
      const { rows, notes, tombstones } = takeRows(table)
      for (const row of tombstones) groups.remove(state, row.key, namespaces.of(row.namespace))
      if (all && codec.live !== undefined) {
        for (const row of liveRows(rows, codec)) groups.put(state, row.key, namespaces.of(row.namespace), codec.toData(row.value))
        continue
      }
      for (let i = 0; i < rows.length; i++) {
        const { key, namespace, value } = rows[i]
        const change = i < notes.length ? notes[i] : undefined
        if (change === undefined) groups.put(state, key, namespaces.of(namespace), codec.toData(value))
        else groups.change(state, key, namespaces.of(namespace), changeToData(codec, value, change))
      }
    }
    // State of an operator that has not asked for it: kept as it was restored.
    if (all) for (const restored of [...this.#unclaimed.values(), ...this.#unopenedTimers.values()]) putRestored(restored, states, groups)
    for (const [name, timers] of [[EVENT_TIMERS, this.eventTimers] as const, [PROCESSING_TIMERS, this.processingTimers] as const]) {
      const state = states.push({ name, kind: 'timers', serde: 'structural' }) - 1
      const { rows, tombstones } = takeTimers(timers)
      for (const t of tombstones) groups.remove(state, t.key, namespaces.ofTimer(t.time, t.namespace))
      for (const t of rows) groups.put(state, t.key, namespaces.ofTimer(t.time, t.namespace), null)
    }
  }

  /**
   * Takes the rows of this backend's key groups out of segments, given in the order in which they were written, of one
   * or several former subtasks. To be called before any table is asked for.
   */
  restore(segments: readonly DecodedSegment[]): void {
    for (const segment of segments) {
      for (const { block } of segment.blocks(this.range.first, this.range.last)) this.#replay(block, segment.header.states[block.state])
    }
  }

  /** Keeps rows for whoever will ask for them. */
  #replay(block: RowBlock, info: StateInfo | undefined): void {
    if (info === undefined) throw new MillraceError('CHECKPOINT_CORRUPT', { what: 'a segment holds rows of a state that it does not name' })
    const unasked = isTimers(info) ? this.#unopenedTimers : this.#unclaimed
    let rows = unasked.get(info.name)
    if (rows === undefined) {
      rows = new RestoredRows(info)
      unasked.set(info.name, rows)
    }
    rows.apply(block, info)
  }

  /**
   * Takes over what another instance of this subtask committed behind the last snapshot of this one: a delta, of this backend's key groups.
   * What it says counts as written. Nothing may have changed here since that snapshot ({@link changed}). The operators over this backend are
   * to be built anew afterwards, as after a restore; they find the tables and timers as the delta leaves them. `bytes`: of the delta. Throws STATE_DESCRIPTOR.
   */
  applyChanges(segment: DecodedSegment, bytes = 0): void {
    assert(segment.header.kind === 'delta', 'a base is restored, not applied to what is there')
    assert(!this.changed, 'changes of others are applied to state that has none of its own')
    const { states } = segment.header
    const namespaces = new Map<unknown, Namespace>()
    const namespaceOf = (data: unknown): Namespace => {
      let namespace = namespaces.get(data)
      if (namespace === undefined) {
        namespace = this.#namespaceFromData(data)
        namespaces.set(data, namespace)
      }
      return namespace
    }
    const blocks: RowBlock[] = []
    for (const { block } of segment.blocks(this.range.first, this.range.last)) {
      blocks.push(block)
      const info = states[block.state]
      const registered = this.#tables.get(info.name)
      const timers = isTimers(info) ? this.#openTimers(info.name) : undefined
      if (timers !== undefined) applyToTimers(timers, block, namespaceOf)
      else if (registered !== undefined) applyToTable(registered, new Readers(registered.codec, info.name), block, info, namespaceOf)
      else this.#replay(block, info)
    }
    this.#countChanged(bytes, blocks)
  }

  /** Whether something changed since the last snapshot. */
  get changed(): boolean {
    for (const { table } of this.#tables.values()) if (table.changed) return true
    return this.eventTimers.changed || this.processingTimers.changed
  }

  /** Timers of windows need the namespace codec, which the operator sets when it opens. */
  readonly #unopenedTimers = new Map<string, RestoredRows>()
  #timersOpened = false

  #openTimers(name: string): TimerQueue | undefined {
    if (!this.#timersOpened) return undefined
    return name === EVENT_TIMERS ? this.eventTimers : this.processingTimers
  }

  /**
   * Puts restored timers into the queues, where they count as written; each operator that is built over this backend calls it in `open`,
   * once it has set `namespaceCodec`. A sweep that a former one had not finished is not this one's.
   */
  openTimers(): void {
    this.#timersOpened = true
    this.sweeps.eventTimePending = false
    this.sweeps.processingTimePending = false
    this.#fillTimers()
  }

  #fillTimers(): void {
    for (const [name, restored] of this.#unopenedTimers) {
      const queue = name === EVENT_TIMERS ? this.eventTimers : this.processingTimers
      restored.each((key, namespace) => {
        const [time, window] = namespace as [number, unknown]
        queue.registerWritten(time, key, this.#namespaceFromData(window))
      })
    }
    this.#unopenedTimers.clear()
  }

  #namespaceFromData(data: unknown): Namespace {
    return data === null ? null : (this.namespaceCodec as NamespaceCodec).fromData(data)
  }
}

function noClock(): never {
  throw new MillraceError('ASSERTION', { what: 'state with a time to live needs a backend with a clock' })
}

function isTimers({ name }: StateInfo): boolean {
  return name === EVENT_TIMERS || name === PROCESSING_TIMERS
}

/** Rows as they were written; of one state they may have been written with several versions of a serde. */
function putRestored(restored: RestoredRows, states: StateInfo[], groups: Groups): void {
  const numbers = new Map<string, number>()
  restored.each((key, namespace, value, info) => {
    let state = numbers.get(info.serde)
    if (state === undefined) {
      state = states.push(info) - 1
      numbers.set(info.serde, state)
    }
    groups.put(state, key, namespace, value)
  })
}
