import { BlockReader, bytesToRead } from './block-reader.js'
import { firstPlaceOf, type KeyGroupRange, placeOfKey } from './key-groups.js'
import type { InternalKey } from './keys.js'
import { RestoredRows } from './restored-rows.js'
import { addChange, addRemoved, addRow, emptyBlock } from './row-block.js'
import type { RowBlock, StateInfo } from './segment.js'
import type { SegmentFooter } from './segment-footer.js'
import { BlockRows, blockAt } from './segment-of-blocks.js'
import type { TailRows } from './tail-rows.js'

/** A segment of blocks that lies elsewhere, of which a part is read at a time. */
export interface RemoteSegment {
  /** For messages. */
  readonly name: string
  readonly footer: SegmentFooter
  /** The only key groups of it that count. */
  readonly keyGroups: KeyGroupRange
  /** Bytes from `from`, not `to`. Throws CHECKPOINT_CORRUPT when they are not all there. */
  read(range: { readonly from: number; readonly to: number }): Promise<Uint8Array>
}

/** Rows by the name of their state, as they were written. */
export type LoadedRows = ReadonlyMap<string, RestoredRows>

/** What is read at a time when many keys are loaded: blocks of many bytes, of which few rows are wanted. */
const SLICE_BYTES = 8 * 1024 * 1024
const MOST_KEYS = 10_000

/** Reads what segments, and the changes that were committed behind them, say of some keys. */
export class KeyLoader {
  /** Bytes of the wanted keys' rows, as they stood, about. */
  loadedBytes = 0
  readonly #blocks: BlockReader

  /** `segments`: oldest first. `sliceBytes`: see {@link slices}. */
  constructor(
    readonly maxParallelism: number,
    readonly segments: readonly RemoteSegment[],
    readonly tail: TailRows,
    cacheBytes: number,
    readonly sliceBytes = SLICE_BYTES,
  ) {
    this.#blocks = new BlockReader(segments, cacheBytes)
  }

  /** Whether there may be rows of a state. */
  knows(state: string): boolean {
    return this.tail.knows(state) || this.segments.some(({ footer }) => footer.states.some(({ name }) => name === state))
  }

  /**
   * The keys, divided so that each call of {@link load} reads no more than `sliceBytes`, but for a key that takes more alone. Of several slices each
   * is behind the one before by the places of its keys: hardly a block is read for two of them.
   */
  slices(keys: readonly InternalKey[]): readonly (readonly InternalKey[])[] {
    const placed = keys.map((key) => ({ key, place: placeOfKey(key, this.maxParallelism) })).sort((a, b) => a.place - b.place)
    const slices: InternalKey[][] = []
    let bytes = 0
    let last: number[] = []
    const bytesFor = (place: number): number => {
      let added = 0
      for (const [at, { footer }] of this.segments.entries()) {
        const block = this.#blockOf(at, place)
        if (block < 0) continue
        added += bytesToRead(footer.offsets, last[at], block)
        last[at] = block
      }
      return added
    }
    for (const { key, place } of placed) {
      let slice = slices.at(-1)
      bytes += bytesFor(place)
      if (slice === undefined || bytes > this.sliceBytes || slice.length === MOST_KEYS) {
        slice = []
        slices.push(slice)
        last = []
        bytes = bytesFor(place)
      }
      slice.push(key)
    }
    return slices.length === 1 ? [keys] : slices
  }

  /** All rows of the keys, in memory together. Throws CHECKPOINT_CORRUPT, and what reading throws. */
  async load(keys: readonly InternalKey[]): Promise<LoadedRows> {
    const places = keys.map((key) => placeOfKey(key, this.maxParallelism)).sort((a, b) => a - b)
    const wanted = new Set(keys)
    const numbers = this.segments.map((_, at) => this.#blocksOf(at, places))
    const found = await this.#blocks.read(numbers)
    const loaded = new Map<string, RestoredRows>()
    for (const [at, blocks] of numbers.entries()) {
      for (const block of blocks) this.#pick(at, found[at].get(block) as Uint8Array, wanted, loaded)
    }
    for (const key of keys) this.tail.each(key, (block, info) => add(loaded, block, info))
    return loaded
  }

  /** One block is decoded at a time: of most there is one row that is wanted. */
  #pick(at: number, bytes: Uint8Array, wanted: ReadonlySet<unknown>, loaded: Map<string, RestoredRows>): void {
    const { footer, keyGroups, name } = this.segments[at]
    const decoded = new BlockRows(footer, bytes, name)
    for (const { block } of decoded.between(keyGroups.first, keyGroups.last)) {
      const rows = only(block, wanted)
      this.loadedBytes += (rows.keys.length + (rows.changed?.keys.length ?? 0)) * decoded.bytesARow
      add(loaded, rows, footer.states[rows.state])
    }
  }

  /** The blocks of one segment in which keys at these places stand. */
  #blocksOf(at: number, places: readonly number[]): ReadonlySet<number> {
    const numbers = new Set<number>()
    for (const place of places) {
      const block = this.#blockOf(at, place)
      if (block >= 0) numbers.add(block)
    }
    return numbers
  }

  /** -1: a key at this place does not stand in it, or does not count. */
  #blockOf(at: number, place: number): number {
    const { footer, keyGroups } = this.segments[at]
    return place < firstPlaceOf(keyGroups.first) || place >= firstPlaceOf(keyGroups.last + 1) ? -1 : blockAt(footer.places, place)
  }
}

function add(loaded: Map<string, RestoredRows>, block: RowBlock, info: StateInfo): void {
  let rows = loaded.get(info.name)
  if (rows === undefined) {
    rows = new RestoredRows(info)
    loaded.set(info.name, rows)
  }
  rows.apply(block, info)
}

/** The rows of keys that are wanted; a copy of them, for a piece of a string keeps all of it in memory, and strings of a block may stand in one. */
function only({ state, removedKeys, removedNamespaces, keys, namespaces, values, changed }: RowBlock, wanted: ReadonlySet<unknown>): RowBlock {
  const rows = emptyBlock(state)
  removedKeys.forEach((key, i) => {
    if (wanted.has(key)) addRemoved(rows, key, removedNamespaces[i])
  })
  keys.forEach((key, i) => {
    if (wanted.has(key)) addRow(rows, key, namespaces[i], values[i])
  })
  changed?.keys.forEach((key, i) => {
    if (wanted.has(key)) addChange(rows, key, changed.namespaces[i], changed.changes[i])
  })
  return structuredClone(rows)
}
