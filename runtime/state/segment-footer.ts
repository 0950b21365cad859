import { crc32 } from '../core/index.js'
import { packNumbers, unpackNumbers } from './packed-numbers.js'
import type { StateInfo } from './segment.js'
import { damagedSegment } from './segment-fault.js'
import { createPacker } from './structural.js'

/** MRS4: a segment of blocks, of which a reader may read some only. */
export const BLOCKS_MAGIC = 0x4d525334
export const MAGIC_BYTES = 4
/** Behind the footer: its CRC-32, its length, and the magic once more. */
const TRAILER_BYTES = 12

/** What stands where in a segment of blocks. Each block is a delta segment (`state/delta-segment.ts`) with a checksum of its own. */
export interface SegmentFooter {
  readonly kind: 'base' | 'delta'
  readonly maxParallelism: number
  readonly states: readonly StateInfo[]
  readonly rows: number
  /** Place (`placeOfKey`) of each block's first key, ascending; a place never goes on into the next block. */
  readonly places: readonly number[]
  readonly lastPlace: number
  /** Where each block begins, and where the last one ends. */
  readonly offsets: readonly number[]
  readonly times: readonly TimeIndex[]
}

/** Rows of one state once more, in the order of the time at which they are due: blocks of keys and `[time, namespace]`. */
export interface TimeIndex {
  readonly state: string
  readonly firstTimes: readonly number[]
  readonly lastTimes: readonly number[]
  readonly offsets: readonly number[]
  /** Where rows stand that were due already when they were written; `to` is `from` when there are none. */
  readonly overdue: { readonly from: number; readonly to: number }
}

/** A few stand as they are. */
type Numbers = readonly number[] | readonly [size: number, Uint8Array]

type PackedTimes = readonly [state: string, firstTimes: Numbers, lastTimes: Numbers, offsets: Numbers, from: number, to: number]

type PackedFooter = readonly [
  kind: 'base' | 'delta',
  maxParallelism: number,
  states: readonly (readonly [name: string, kind: string, serde: string])[],
  rows: number,
  places: Numbers,
  lastPlace: number,
  offsets: Numbers,
  times: readonly PackedTimes[],
]

/** The footer with its trailer. */
export function encodeFooter({ kind, maxParallelism, states, rows, places, lastPlace, offsets, times }: SegmentFooter): Uint8Array {
  const packed: PackedFooter = [
    kind,
    maxParallelism,
    states.map((state) => [state.name, state.kind, state.serde]),
    rows,
    numbers(places),
    lastPlace,
    numbers(offsets),
    times.map(({ state, firstTimes, lastTimes, offsets: ofTimes, overdue: { from, to } }) => [
      state,
      numbers(firstTimes),
      numbers(lastTimes),
      numbers(ofTimes),
      from,
      to,
    ]),
  ]
  const body = createPacker().pack(packed)
  const bytes = new Uint8Array(body.length + TRAILER_BYTES)
  bytes.set(body)
  const view = new DataView(bytes.buffer)
  view.setUint32(body.length, crc32(body), true)
  view.setUint32(body.length + 4, body.length, true)
  view.setUint32(body.length + 8, BLOCKS_MAGIC)
  return bytes
}

/** How many of a segment's last bytes its footer takes; undefined for another format. `end`: at least its last 12 bytes. */
export function footerLength(end: Uint8Array): number | undefined {
  if (end.length < TRAILER_BYTES) return undefined
  const view = new DataView(end.buffer, end.byteOffset, end.byteLength)
  if (view.getUint32(end.length - 4) !== BLOCKS_MAGIC) return undefined
  return view.getUint32(end.length - 8, true) + TRAILER_BYTES
}

/** `end`: the segment's last bytes, the whole footer among them. Throws CHECKPOINT_CORRUPT. */
export function decodeFooter(end: Uint8Array, name: string): SegmentFooter {
  const length = footerLength(end)
  if (length === undefined || length > end.length) throw damagedSegment(name, 'its footer is not whole')
  const body = end.subarray(end.length - length, end.length - TRAILER_BYTES)
  const view = new DataView(end.buffer, end.byteOffset, end.byteLength)
  if (view.getUint32(end.length - TRAILER_BYTES, true) !== crc32(body)) throw damagedSegment(name, "its footer's checksum does not match")
  const [kind, maxParallelism, states, rows, places, lastPlace, offsets, times] = createPacker().unpack(body) as PackedFooter
  return {
    kind,
    maxParallelism,
    states: states.map(([state, ofKind, serde]) => ({ name: state, kind: ofKind, serde })),
    rows,
    places: numbersOf(places),
    lastPlace,
    offsets: numbersOf(offsets),
    times: times.map(([state, firstTimes, lastTimes, ofTimes, from, to]) => ({
      state,
      firstTimes: numbersOf(firstTimes),
      lastTimes: numbersOf(lastTimes),
      offsets: numbersOf(ofTimes),
      overdue: { from, to },
    })),
  }
}

const FEW = 8

function numbers(list: readonly number[]): Numbers {
  return list.length <= FEW ? list : [list.length, packNumbers(list, list.length)]
}

function numbersOf(packed: Numbers): readonly number[] {
  const [size, bytes] = packed
  return bytes instanceof Uint8Array ? unpackNumbers(bytes, size) : (packed as readonly number[])
}
