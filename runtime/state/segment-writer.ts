import { encodeDelta } from './delta-segment.js'
import { firstPlaceOf, placeOfKey } from './key-groups.js'
import type { InternalKey } from './keys.js'
import type { VisitMerged } from './merged-rows.js'
import { addChange, addRemoved, addRow, emptyBlock } from './row-block.js'
import type { RowBlock, StateInfo } from './segment.js'
import { BLOCKS_MAGIC, encodeFooter, MAGIC_BYTES } from './segment-footer.js'
import { TimeBlocks } from './time-blocks.js'
import { dueTimeOf } from './timed-rows.js'

/** Bytes of a block, about: what a key that is asked for costs to read. */
export const DEFAULT_BLOCK_BYTES = 16 * 1024
const FIRST_BLOCK_ROWS = 256
/** Rows of a time block; one takes some 16 bytes. */
const TIME_BLOCK_BYTES_A_ROW = 16

type Row =
  | {
      readonly kind: 'put' | 'change'
      readonly place: number
      readonly state: number
      readonly key: InternalKey
      readonly namespace: unknown
      readonly value: unknown
    }
  | { readonly kind: 'remove'; readonly place: number; readonly state: number; readonly key: InternalKey; readonly namespace: unknown }

export interface SegmentWriterOptions {
  readonly maxParallelism: number
  readonly blockBytes: number
  /** Whether a row that is there was due already when it was written; see {@link TimeBlocks}. */
  isOverdue(state: string, key: InternalKey, namespace: unknown, time: number): boolean
}

/** Writes a segment of blocks from rows that come key group by key group, in any order within one. */
export class SegmentWriter implements VisitMerged {
  readonly #states: StateInfo[] = []
  readonly #numbers = new Map<string, number>()
  #rows: Row[] = []
  #count = 0
  readonly #parts: Uint8Array[] = [new Uint8Array(MAGIC_BYTES)]
  #at = MAGIC_BYTES
  #lastPlace = 0
  readonly #places: number[] = []
  readonly #offsets: number[] = []
  readonly #times = new Map<string, TimeBlocks>()
  #blockRows = FIRST_BLOCK_ROWS

  constructor(readonly options: SegmentWriterOptions) {
    new DataView(this.#parts[0].buffer).setUint32(0, BLOCKS_MAGIC)
  }

  put(key: InternalKey, namespace: unknown, value: unknown, info: StateInfo): void {
    this.#rows.push({ kind: 'put', place: this.#placeOf(key), state: this.#numberOf(info), key, namespace, value })
    const time = dueTimeOf(info.name, namespace)
    if (time === undefined) return
    if (time === Number.NEGATIVE_INFINITY || this.options.isOverdue(info.name, key, namespace, time))
      this.#timesOf(info).addOverdue(time, key, namespace)
    else this.#timesOf(info).add(time, key, namespace, false)
  }

  remove(key: InternalKey, namespace: unknown, info: StateInfo): void {
    this.#rows.push({ kind: 'remove', place: this.#placeOf(key), state: this.#numberOf(info), key, namespace })
    const time = dueTimeOf(info.name, namespace)
    if (time !== undefined && time !== Number.NEGATIVE_INFINITY) this.#timesOf(info).add(time, key, namespace, true)
  }

  change(key: InternalKey, namespace: unknown, change: unknown, info: StateInfo): void {
    this.#rows.push({ kind: 'change', place: this.#placeOf(key), state: this.#numberOf(info), key, namespace, value: change })
  }

  /** Rows that stand by key group already, each in the last form that it has. */
  putGroups(groups: ReadonlyMap<number, readonly RowBlock[]>, states: readonly StateInfo[]): void {
    for (const keyGroup of [...groups.keys()].sort((a, b) => a - b)) {
      for (const { state, keys, namespaces, values } of groups.get(keyGroup) as readonly RowBlock[]) {
        for (let i = 0; i < keys.length; i++) this.put(keys[i] as InternalKey, namespaces[i], values[i], states[state])
      }
      this.endGroup(keyGroup)
    }
  }

  /** All rows of the key group have come; those that come next are of a later one. */
  endGroup(keyGroup: number): void {
    const rows = this.#rows
    if ((rows.at(-1)?.place ?? -1) < firstPlaceOf(keyGroup)) return
    // Rows of the groups before, which did not fill a block, stand in front.
    rows.sort((a, b) => a.place - b.place)
    let from = 0
    while (rows.length - from > this.#blockRows) {
      let to = from + this.#blockRows
      while (to < rows.length && rows[to].place === rows[to - 1].place) to++
      if (to === rows.length) break
      this.#writeBlock(rows.slice(from, to))
      from = to
    }
    if (from > 0) this.#rows = rows.slice(from)
  }

  /** The segment; undefined when no row came. */
  finish(kind: 'base' | 'delta'): Uint8Array | undefined {
    if (this.#rows.length > 0) this.#writeBlock(this.#rows)
    if (this.#count === 0) return undefined
    const offsets = [...this.#offsets, this.#at]
    const write = (block: Uint8Array) => {
      const from = this.#at
      this.#append(block)
      return { from, to: this.#at }
    }
    const rowsInBlock = Math.max(1, Math.floor(this.options.blockBytes / TIME_BLOCK_BYTES_A_ROW))
    const times = [...this.#times.values()].map((ofState) => ofState.finish(rowsInBlock, write))
    const { maxParallelism } = this.options
    this.#append(
      encodeFooter({
        kind,
        maxParallelism,
        states: this.#states,
        rows: this.#count,
        places: this.#places,
        lastPlace: this.#lastPlace,
        offsets,
        times,
      }),
    )
    const bytes = new Uint8Array(this.#at)
    let at = 0
    for (const part of this.#parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  }

  #writeBlock(rows: readonly Row[]): void {
    const blocks = new Map<number, RowBlock>()
    for (const row of rows) {
      let block = blocks.get(row.state)
      if (block === undefined) {
        block = emptyBlock(row.state)
        blocks.set(row.state, block)
      }
      if (row.kind === 'remove') addRemoved(block, row.key, row.namespace)
      else if (row.kind === 'put') addRow(block, row.key, row.namespace, row.value)
      else addChange(block, row.key, row.namespace, row.value)
    }
    const bytes = encodeDelta({ maxParallelism: this.options.maxParallelism, states: this.#states }, [...blocks.values()])
    this.#places.push(rows[0].place)
    this.#lastPlace = rows[rows.length - 1].place
    this.#offsets.push(this.#at)
    this.#append(bytes)
    this.#count += rows.length
    this.#blockRows = Math.max(1, Math.floor((this.options.blockBytes * rows.length) / bytes.length))
  }

  #append(bytes: Uint8Array): void {
    this.#parts.push(bytes)
    this.#at += bytes.length
  }

  #placeOf(key: InternalKey): number {
    return placeOfKey(key, this.options.maxParallelism)
  }

  #timesOf({ name }: StateInfo): TimeBlocks {
    let times = this.#times.get(name)
    if (times === undefined) {
      times = new TimeBlocks(name, this.options.maxParallelism)
      this.#times.set(name, times)
    }
    return times
  }

  #numberOf(info: StateInfo): number {
    const id = `${info.name}\u0000${info.serde}\u0000${info.kind}`
    let number = this.#numbers.get(id)
    if (number === undefined) {
      number = this.#states.push(info) - 1
      this.#numbers.set(id, number)
    }
    return number
  }
}
