import { BlockCache } from './block-cache.js'
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

/** Blocks that lie no further apart are read in one go, with what is between them. */
const GAP_BYTES = 32 * 1024
const LONGEST_READ_BYTES = 4 * 1024 * 1024

/** Reads what segments, and the changes that were committed behind them, say of some keys. */
export class KeyLoader {
  /** Bytes of the wanted keys' rows, as they stood, about. */
  loadedBytes = 0
  readonly #cache: BlockCache

  /** `segments`: oldest first. */
  constructor(
    readonly maxParallelism: number,
    readonly segments: readonly RemoteSegment[],
    readonly tail: TailRows,
    cacheBytes: number,
  ) {
    this.#cache = new BlockCache(cacheBytes)
  }

  /** Whether there may be rows of a state. */
  knows(state: string): boolean {
    return this.tail.knows(state) || this.segments.some(({ footer }) => footer.states.some(({ name }) => name === state))
  }

  /** Throws CHECKPOINT_CORRUPT, and what reading throws. */
  async load(keys: readonly InternalKey[]): Promise<LoadedRows> {
    const places = keys.map((key) => placeOfKey(key, this.maxParallelism)).sort((a, b) => a - b)
    const wanted = new Set(keys)
    const found = await Promise.all(this.segments.map((_, at) => this.#blocksOf(at, places)))
    const loaded = new Map<string, RestoredRows>()
    for (const [at, blocks] of found.entries()) {
      const { footer, keyGroups } = this.segments[at]
      for (const block of blocks) {
        for (const { block: all } of block.between(keyGroups.first, keyGroups.last)) {
          const rows = only(all, wanted)
          this.loadedBytes += rows.keys.length * block.bytesARow
          add(loaded, rows, footer.states[rows.state])
        }
      }
    }
    for (const key of keys) this.tail.each(key, (block, info) => add(loaded, block, info))
    return loaded
  }

  /** The blocks of one segment in which keys at these places stand. */
  async #blocksOf(at: number, places: readonly number[]): Promise<readonly BlockRows[]> {
    const { footer, keyGroups, name } = this.segments[at]
    const [first, end] = [firstPlaceOf(keyGroups.first), firstPlaceOf(keyGroups.last + 1)]
    const numbers = new Set<number>()
    for (const place of places) {
      const block = place < first || place >= end ? -1 : blockAt(footer.places, place)
      if (block >= 0) numbers.add(block)
    }
    const bytes = new Map<number, Uint8Array>()
    const missing: number[] = []
    for (const block of numbers) {
      const known = this.#cache.get(at, block)
      if (known === undefined) missing.push(block)
      else bytes.set(block, known)
    }
    await Promise.all(runsOf(missing, footer.offsets).map((run) => this.#read(at, run, bytes)))
    return [...numbers].map((block) => new BlockRows(footer, bytes.get(block) as Uint8Array, name))
  }

  async #read(at: number, run: readonly number[], into: Map<number, Uint8Array>): Promise<void> {
    const { footer, read } = this.segments[at]
    const from = footer.offsets[run[0]]
    const bytes = await read({ from, to: footer.offsets[run[run.length - 1] + 1] })
    for (const block of run) {
      // A copy: a view would keep all that was read with it.
      const ofBlock = bytes.slice(footer.offsets[block] - from, footer.offsets[block + 1] - from)
      this.#cache.put(at, block, ofBlock)
      into.set(block, ofBlock)
    }
  }
}

/** Blocks that are read together; `numbers` rise. */
function runsOf(numbers: readonly number[], offsets: readonly number[]): number[][] {
  const runs: number[][] = []
  for (const block of numbers) {
    const run = runs.at(-1)
    const near = run !== undefined && offsets[block] - offsets[run[run.length - 1] + 1] <= GAP_BYTES
    if (near && offsets[block + 1] - offsets[run[0]] <= LONGEST_READ_BYTES) run.push(block)
    else runs.push([block])
  }
  return runs
}

function add(loaded: Map<string, RestoredRows>, block: RowBlock, info: StateInfo): void {
  let rows = loaded.get(info.name)
  if (rows === undefined) {
    rows = new RestoredRows(info)
    loaded.set(info.name, rows)
  }
  rows.apply(block, info)
}

/** The rows of keys that are wanted. */
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
  return rows
}
