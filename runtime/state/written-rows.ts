import { MillraceError } from '../core/index.js'
import type { InternalKey } from './keys.js'
import { applyToValue } from './row-change.js'
import type { RowBlock, StateInfo } from './segment.js'
import { readerOf, type StateCodec } from './state-codec.js'
import type { Namespace, StateTable } from './state-table.js'
import { untimedSerdeId } from './timed-codec.js'
import type { TimerQueue } from './timer-queue.js'

export interface RegisteredTable {
  readonly table: StateTable<unknown>
  codec: StateCodec<unknown>
}

/** A table's readers, one for each serde that rows were written with. */
export class Readers<V> {
  readonly #readers = new Map<string, (data: unknown) => V>()
  constructor(
    readonly codec: StateCodec<V>,
    readonly name: string,
  ) {}

  /** Throws STATE_DESCRIPTOR. */
  of({ kind, serde }: StateInfo): (data: unknown) => V {
    let reader = this.#readers.get(serde)
    if (reader === undefined) {
      if (kind !== this.codec.kind) throw twoKinds(this.name, kind, this.codec.kind)
      reader = readerOf(this.codec, serde, this.name)
      this.#readers.set(serde, reader)
    }
    return reader
  }
}

/** Puts what another instance has committed into a table, where it is no change. */
export function applyToTable(
  { table, codec }: RegisteredTable,
  readers: Readers<unknown>,
  { removedKeys, removedNamespaces, keys, namespaces, values, changed }: RowBlock,
  info: StateInfo,
  namespaceOf: (data: unknown) => Namespace,
): void {
  removedKeys.forEach((key, i) => {
    table.removeWritten(key as InternalKey, namespaceOf(removedNamespaces[i]))
  })
  const read = readers.of(info)
  keys.forEach((key, i) => {
    table.putWritten(key as InternalKey, namespaceOf(namespaces[i]), read(values[i]))
  })
  if (changed === undefined) return
  const readKey = codec.mapKeys?.readerOf(untimedSerdeId(info.serde))
  changed.keys.forEach((key, i) => {
    const namespace = namespaceOf(changed.namespaces[i])
    const value = applyToValue(table.get(key as InternalKey, namespace)?.value, changed.changes[i], read, readKey)
    // A map of which this instance had dropped expired entries that the other one had not.
    if (value instanceof Map && value.size === 0) table.removeWritten(key as InternalKey, namespace)
    else table.putWritten(key as InternalKey, namespace, value)
  })
}

/** The same with timers. */
export function applyToTimers(
  queue: TimerQueue,
  { removedKeys, removedNamespaces, keys, namespaces }: RowBlock,
  namespaceOf: (data: unknown) => Namespace,
): void {
  removedKeys.forEach((key, i) => {
    const [time, window] = removedNamespaces[i] as [number, unknown]
    queue.deleteWritten(time, key as InternalKey, namespaceOf(window))
  })
  keys.forEach((key, i) => {
    const [time, window] = namespaces[i] as [number, unknown]
    queue.registerWritten(time, key as InternalKey, namespaceOf(window))
  })
}

export function twoKinds(name: string, before: string, now: string): MillraceError {
  return new MillraceError('STATE_DESCRIPTOR', {
    what: `state "${name}" is ${before} state and is now asked for as ${now} state`,
    todo: 'Use one descriptor for one name; a state that changes its kind needs a new name.',
  })
}
