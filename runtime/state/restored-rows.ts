import { assert } from '../core/index.js'
import type { InternalKey } from './keys.js'
import { type FoldedData, foldedData } from './row-change.js'
import type { RowBlock, StateInfo } from './segment.js'

/** A row as it was written, and what later segments changed in it. */
interface RestoredRow {
  readonly namespace: unknown
  readonly info: StateInfo
  readonly data: unknown
  folded: FoldedData | undefined
}

/** Rows of one state while segments are replayed: later ones win, tombstones remove. Data as it was written, since nobody may have asked for the state yet. */
export class RestoredRows {
  readonly #rows = new Map<InternalKey, Map<string, RestoredRow>>()

  /** As the state was declared when the first of its rows was written. */
  constructor(readonly info: StateInfo) {}

  /** `info` is that of the block's segment. */
  apply(block: RowBlock, info: StateInfo): void {
    for (let i = 0; i < block.removedKeys.length; i++) {
      this.#rows.get(block.removedKeys[i] as InternalKey)?.delete(namespaceId(block.removedNamespaces[i]))
    }
    for (let i = 0; i < block.keys.length; i++) {
      this.#set(block.keys[i] as InternalKey, { namespace: block.namespaces[i], info, data: block.values[i], folded: undefined })
    }
    const { changed } = block
    if (changed === undefined) return
    for (let i = 0; i < changed.keys.length; i++) this.#change(changed.keys[i] as InternalKey, changed.namespaces[i], info, changed.changes[i])
  }

  #change(key: InternalKey, namespace: unknown, info: StateInfo, change: unknown): void {
    // A base leaves out what has expired, so a row that changed in part need not be there.
    const row = this.#rows.get(key)?.get(namespaceId(namespace)) ?? this.#set(key, { namespace, info, data: undefined, folded: undefined })
    assert(row.info.serde === info.serde, 'a part of a row is written as the row was')
    row.folded ??= foldedData(info, row.data)
    row.folded.apply(change)
  }

  #set(key: InternalKey, row: RestoredRow): RestoredRow {
    let rows = this.#rows.get(key)
    if (rows === undefined) {
      rows = new Map()
      this.#rows.set(key, rows)
    }
    rows.set(namespaceId(row.namespace), row)
    return row
  }

  each(visit: (key: InternalKey, namespace: unknown, value: unknown, info: StateInfo) => void): void {
    for (const [key, rows] of this.#rows) {
      for (const { namespace, data, folded, info } of rows.values()) {
        if (folded === undefined) visit(key, namespace, data, info)
        // A map of which only expired entries were left.
        else if (!folded.isEmpty) visit(key, namespace, folded.data(), info)
      }
    }
  }
}

function namespaceId(data: unknown): string {
  return data === null ? '' : JSON.stringify(data, exactly)
}

/** What JSON would make equal (infinite times) or refuse (bigint) as text. */
function exactly(_field: string, value: unknown): unknown {
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? `${typeof value} ${value}` : value
}
