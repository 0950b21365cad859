import { readDelta } from './delta-segment.js'
import { firstPlaceOf, type KeyGroupRange, keyGroupAt } from './key-groups.js'
import type { DecodedSegment, RowBlock, SegmentHeader, StateInfo } from './segment.js'
import { damagedSegment } from './segment-fault.js'
import { decodeFooter, footerLength, type SegmentFooter } from './segment-footer.js'

/** A whole segment of blocks; each block is decoded when it is asked for. Throws CHECKPOINT_CORRUPT, also from `blocks`. */
export function decodeSegmentOfBlocks(bytes: Uint8Array, name: string): DecodedSegment {
  if (footerLength(bytes) === undefined) throw damagedSegment(name, 'its footer is not whole')
  const footer = decodeFooter(bytes, name)
  let last: { readonly block: number; readonly decoded: BlockRows } | undefined
  const decoded = (block: number): BlockRows => {
    if (last?.block !== block)
      last = { block, decoded: new BlockRows(footer, bytes.subarray(footer.offsets[block], footer.offsets[block + 1]), name) }
    return last.decoded
  }
  return {
    header: headerOf(footer),
    times: footer.times.map((index) => ({ index, read: ({ from, to }) => bytes.subarray(from, to) })),
    *blocks(first, lastGroup) {
      const { from, to } = blocksBetween(footer, { first, last: lastGroup })
      for (let block = from; block < to; block++) yield* decoded(block).between(first, lastGroup)
    },
  }
}

function headerOf({ kind, maxParallelism, states, rows, places, lastPlace }: SegmentFooter): SegmentHeader {
  const groups: (readonly [number, number, number])[] = []
  // Some of them may have no rows.
  for (let keyGroup = keyGroupAt(places[0]); keyGroup <= keyGroupAt(lastPlace); keyGroup++) groups.push([keyGroup, 0, 0])
  return { kind, maxParallelism, states, rows, namespaces: [], groups }
}

/** Rows of one block, named by the states of the whole segment. */
export class BlockRows {
  readonly #decoded: DecodedSegment
  readonly #states: readonly number[]
  /** On average. */
  readonly bytesARow: number

  constructor({ states }: SegmentFooter, bytes: Uint8Array, name: string) {
    this.#decoded = readDelta(bytes, name)
    this.bytesARow = bytes.length / this.#decoded.header.rows
    this.#states = this.#decoded.header.states.map((info) => states.findIndex((state) => isSame(state, info)))
  }

  *between(first: number, last: number): IterableIterator<{ readonly keyGroup: number; readonly block: RowBlock }> {
    for (const { keyGroup, block } of this.#decoded.blocks(first, last)) {
      yield { keyGroup, block: { ...block, state: this.#states[block.state] } }
    }
  }
}

function isSame(a: StateInfo, b: StateInfo): boolean {
  return a.name === b.name && a.serde === b.serde && a.kind === b.kind
}

/** Blocks that may hold keys of these key groups: from `from`, not `to`. */
function blocksBetween({ places }: SegmentFooter, { first, last }: KeyGroupRange): { readonly from: number; readonly to: number } {
  return { from: Math.max(0, blockAt(places, firstPlaceOf(first))), to: blockAt(places, firstPlaceOf(last + 1) - 1) + 1 }
}

/** The block in which a key of this place stands, if it is there at all; -1: none. */
export function blockAt(places: readonly number[], place: number): number {
  let from = 0
  let to = places.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if (places[middle] <= place) from = middle + 1
    else to = middle
  }
  return from - 1
}
