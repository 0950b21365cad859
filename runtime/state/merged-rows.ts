import { assert, MillraceError } from '../core/index.js'
import type { KeyGroupRange } from './key-groups.js'
import type { InternalKey } from './keys.js'
import { composeChanges, type FoldedData, foldedData } from './row-change.js'
import type { DecodedSegment, RowBlock, StateInfo } from './segment.js'

/** What a row is after some segments: whole, gone, or changed in a part of what older segments say of it. */
type MergedRow =
  | { readonly kind: 'put'; readonly namespace: unknown; readonly info: StateInfo; readonly data: unknown; folded: FoldedData | undefined }
  | { readonly kind: 'removed'; readonly namespace: unknown; readonly info: StateInfo }
  | { readonly kind: 'changed'; readonly namespace: unknown; readonly info: StateInfo; readonly changes: unknown[] }

export interface VisitMerged {
  put(key: InternalKey, namespace: unknown, value: unknown, info: StateInfo): void
  remove(key: InternalKey, namespace: unknown, info: StateInfo): void
  change(key: InternalKey, namespace: unknown, change: unknown, info: StateInfo): void
}

/**
 * Rows of one state while segments are replayed, oldest first: later ones win, removals leave tombstones, parts of lists and maps are put
 * together. Data as it was written: nobody needs to have asked for the state. `bottom`: nothing is older, so that what was removed is
 * nothing, and a part is all there is (a snapshot leaves out what has expired, so a row that changed in part need not be there).
 */
export class MergedRows {
  /** Rows, tombstones included. */
  size = 0
  readonly #rows = new Map<InternalKey, Map<string, MergedRow>>()

  constructor(readonly bottom: boolean) {}

  /** `info` is that of the block's segment. */
  apply(block: RowBlock, info: StateInfo): void {
    for (let i = 0; i < block.removedKeys.length; i++) {
      this.#remove(block.removedKeys[i] as InternalKey, block.removedNamespaces[i], info)
    }
    for (let i = 0; i < block.keys.length; i++) {
      this.#set(block.keys[i] as InternalKey, { kind: 'put', namespace: block.namespaces[i], info, data: block.values[i], folded: undefined })
    }
    const { changed } = block
    if (changed === undefined) return
    for (let i = 0; i < changed.keys.length; i++) this.#change(changed.keys[i] as InternalKey, changed.namespaces[i], info, changed.changes[i])
  }

  #remove(key: InternalKey, namespace: unknown, info: StateInfo): void {
    if (!this.bottom) this.#set(key, { kind: 'removed', namespace, info })
    else if (this.#rows.get(key)?.delete(namespaceId(namespace)) === true) this.size--
  }

  #change(key: InternalKey, namespace: unknown, info: StateInfo, change: unknown): void {
    const row = this.#rows.get(key)?.get(namespaceId(namespace))
    assert(row === undefined || row.kind === 'removed' || row.info.serde === info.serde, 'a part of a row is written as the row was')
    if (row?.kind === 'changed') row.changes.push(change)
    else if (row === undefined && !this.bottom) this.#set(key, { kind: 'changed', namespace, info, changes: [change] })
    else {
      const put = row?.kind === 'put' ? row : this.#set(key, { kind: 'put', namespace, info, data: undefined, folded: undefined })
      assert(put.kind === 'put', 'parts are put together in a whole row')
      put.folded ??= foldedData(info, put.data)
      put.folded.apply(change)
    }
  }

  #set(key: InternalKey, row: MergedRow): MergedRow {
    let rows = this.#rows.get(key)
    if (rows === undefined) {
      rows = new Map()
      this.#rows.set(key, rows)
    }
    const { size } = rows
    rows.set(namespaceId(row.namespace), row)
    this.size += rows.size - size
    return row
  }

  each(visit: VisitMerged): void {
    for (const key of this.#rows.keys()) this.eachOf(key, visit)
  }

  /** The rows of one key. */
  eachOf(key: InternalKey, visit: VisitMerged): void {
    for (const row of this.#rows.get(key)?.values() ?? []) {
      if (row.kind === 'removed') visit.remove(key, row.namespace, row.info)
      else if (row.kind === 'changed') visit.change(key, row.namespace, composeChanges(row.info, row.changes), row.info)
      else if (row.folded === undefined) visit.put(key, row.namespace, row.data, row.info)
      else if (!row.folded.isEmpty) visit.put(key, row.namespace, row.folded.data(), row.info)
      // A map of which only expired entries were left.
      else if (!this.bottom) visit.remove(key, row.namespace, row.info)
    }
  }
}

/**
 * What `segments` say one after the other, oldest first, of the key groups of `range`, by the name of the state: its rows may have been written with
 * several versions of its serde. `uid`: of their operator, where it is known. Throws CHECKPOINT_CORRUPT.
 */
export function rowsByState<Rows extends Pick<MergedRows, 'apply'>>(
  segments: readonly DecodedSegment[],
  { first, last }: KeyGroupRange,
  create: (info: StateInfo) => Rows,
  uid?: string,
): Map<string, Rows> {
  const byName = new Map<string, Rows>()
  for (const { header, blocks } of segments) {
    for (const { block } of blocks(first, last)) {
      const info = header.states[block.state]
      if (info === undefined) throw new MillraceError('CHECKPOINT_CORRUPT', { what: 'a segment holds rows of a state that it does not name', uid })
      let rows = byName.get(info.name)
      if (rows === undefined) {
        rows = create(info)
        byName.set(info.name, rows)
      }
      rows.apply(block, info)
    }
  }
  return byName
}

/** Of a time window, `[start, end]`, it is put together by hand: JSON takes longer than all else that is done with a row. */
export function namespaceId(data: unknown): string {
  if (data === null) return ''
  if (Array.isArray(data) && data.length === 2 && Number.isFinite(data[0]) && Number.isFinite(data[1])) return `[${data[0]},${data[1]}]`
  return JSON.stringify(data, exactly)
}

/** What JSON would make equal (infinite times) or refuse (bigint) as text. */
function exactly(_field: string, value: unknown): unknown {
  return typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)) ? `${typeof value} ${value}` : value
}
