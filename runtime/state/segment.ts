import { assert, crc32, MillraceError } from '../core/index.js'
import { DELTA_MAGIC, decodeDelta } from './delta-segment.js'
import { NamespaceIndex } from './namespace-index.js'
import { NewerRows } from './newer-rows.js'
import { damagedSegment } from './segment-fault.js'
import { BLOCKS_MAGIC, type TimeIndex } from './segment-footer.js'
import { decodeSegmentOfBlocks } from './segment-of-blocks.js'
import { createPacker } from './structural.js'

/** Rows of one state in one key group, column by column. Namespaces are null or plain data (the window, and a timer's time). */
export interface RowBlock {
  /** Index into the header's `states`. */
  readonly state: number
  readonly removedKeys: unknown[]
  readonly removedNamespaces: unknown[]
  readonly keys: unknown[]
  readonly namespaces: unknown[]
  readonly values: unknown[]
  /** Rows of which only a part changed; in deltas of lists and maps. */
  changed?: ChangedRows
}

/** Column by column; what a change is says `state/row-change.ts`. */
export interface ChangedRows {
  readonly keys: unknown[]
  readonly namespaces: unknown[]
  readonly changes: unknown[]
}

export interface StateInfo {
  readonly name: string
  readonly kind: string
  readonly serde: string
}

export interface SegmentHeader {
  /** `base` stands alone; `delta` changes what the segments before it say. */
  readonly kind: 'base' | 'delta'
  readonly maxParallelism: number
  readonly states: readonly StateInfo[]
  /** [key group, offset behind the header, length], in key-group order; offset and length are 0 in other formats, where a group may have no rows. */
  readonly groups: readonly (readonly [number, number, number])[]
  readonly rows: number
  /** The namespaces that occur; blocks name them by index. */
  readonly namespaces: readonly unknown[]
}

type PackedBlock = readonly [
  state: number,
  removedKeys: unknown[],
  removedNamespaces: number[],
  keys: unknown[],
  namespaces: number[],
  values: unknown[],
  ...changed: [] | ChangedColumns,
]

type ChangedColumns = [keys: unknown[], namespaces: number[], changes: unknown[]]

const MAGIC = 0x4d525331 // MRS1: segment format 1
/** MRS2: format 1 with rows of which only a part changed; written when there are any. */
const MAGIC_WITH_CHANGES = 0x4d525332
const PREFIX_BYTES = 8
const CRC_BYTES = 4

/** Segment: magic, header length, header, one block a key group in key-group order, CRC-32 of all before it. Little-endian but for the magic. */
export function encodeSegment(header: Omit<SegmentHeader, 'groups' | 'namespaces'>, groups: ReadonlyMap<number, readonly RowBlock[]>): Uint8Array {
  const packer = createPacker()
  const namespaces = new NamespaceIndex()
  const index: [number, number, number][] = []
  const blocks: Uint8Array[] = []
  let offset = 0
  let magic = MAGIC
  for (const keyGroup of [...groups.keys()].sort((a, b) => a - b)) {
    const block = packer.pack(
      (groups.get(keyGroup) as RowBlock[]).map((b): PackedBlock => {
        const rows = [b.state, b.removedKeys, namespaces.of(b.removedNamespaces), b.keys, namespaces.of(b.namespaces), b.values] as const
        if (b.changed === undefined) return rows
        magic = MAGIC_WITH_CHANGES
        return [...rows, b.changed.keys, namespaces.of(b.changed.namespaces), b.changed.changes]
      }),
    )
    blocks.push(block)
    index.push([keyGroup, offset, block.length])
    offset += block.length
  }
  const head = packer.pack({ ...header, namespaces: namespaces.list, groups: index })
  const bytes = new Uint8Array(PREFIX_BYTES + head.length + offset + CRC_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, magic)
  view.setUint32(4, head.length, true)
  bytes.set(head, PREFIX_BYTES)
  let at = PREFIX_BYTES + head.length
  for (const block of blocks) {
    bytes.set(block, at)
    at += block.length
  }
  assert(at + CRC_BYTES === bytes.length, 'a segment is as long as its parts')
  view.setUint32(at, crc32(bytes.subarray(0, at)), true)
  return bytes
}

export interface DecodedSegment {
  readonly header: SegmentHeader
  /** Decodes the blocks of the key groups from `first` to `last`. */
  blocks(first: number, last: number): IterableIterator<{ readonly keyGroup: number; readonly block: RowBlock }>
  /** Of a segment of blocks: its rows by the time at which they are due. */
  readonly times?: readonly IndexedTimes[]
}

/** Rows that are due at times, and their bytes. */
export interface IndexedTimes {
  readonly index: TimeIndex
  read(range: { readonly from: number; readonly to: number }): Uint8Array
}

/**
 * Throws CHECKPOINT_CORRUPT for damaged or truncated bytes, CHECKPOINT_VERSION for another format. `name` is for the message. `newer`: see
 * {@link decodeDeltas}.
 */
export function decodeSegment(bytes: Uint8Array, name: string, newer?: NewerRows): DecodedSegment {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < PREFIX_BYTES + CRC_BYTES) throw damagedSegment(name, `it has only ${bytes.length} bytes`)
  const magic = view.getUint32(0)
  if (magic === BLOCKS_MAGIC) return decodeSegmentOfBlocks(bytes, name)
  const known = magic === MAGIC || magic === MAGIC_WITH_CHANGES || magic === DELTA_MAGIC
  if (magic >>> 8 === MAGIC >>> 8 && !known) {
    throw new MillraceError('CHECKPOINT_VERSION', {
      what: `segment format ${String.fromCharCode(magic & 255)} is none of the formats 1 to 4 that this version reads`,
      where: name,
      todo: 'Restore it with the version of Millrace that wrote it.',
    })
  }
  if (!known) throw damagedSegment(name, 'it does not begin as a segment')
  const end = bytes.length - CRC_BYTES
  if (view.getUint32(end, true) !== crc32(bytes.subarray(0, end))) throw damagedSegment(name, 'its checksum does not match')
  if (magic === DELTA_MAGIC) return decodeDelta(bytes, newer)
  const packer = createPacker()
  const headerLength = view.getUint32(4, true)
  const header = packer.unpack(bytes.subarray(PREFIX_BYTES, PREFIX_BYTES + headerLength)) as SegmentHeader
  const start = PREFIX_BYTES + headerLength
  return {
    header,
    *blocks(first, last) {
      for (const [keyGroup, offset, length] of header.groups) {
        if (keyGroup < first || keyGroup > last) continue
        const packed = bytes.subarray(start + offset, start + offset + length)
        for (const [state, removedKeys, removedNamespaces, keys, namespaces, values, ...changed] of packer.unpack(packed) as PackedBlock[]) {
          const named = (numbers: readonly number[]) => numbers.map((number) => header.namespaces[number])
          const rows = { state, removedKeys, removedNamespaces: named(removedNamespaces), keys, namespaces: named(namespaces), values }
          yield { keyGroup, block: changed.length === 0 ? rows : { ...rows, changed: changedRows(changed as ChangedColumns, named) } }
        }
      }
    },
  }
}

/**
 * What was committed one after the other, to be merged in this order: rows of which a later one says all are left out of those before. Throws as
 * {@link decodeSegment}.
 */
export function decodeDeltas(deltas: readonly { readonly bytes: Uint8Array; readonly name: string }[]): DecodedSegment[] {
  const newer = new NewerRows()
  return deltas
    .toReversed()
    .map(({ bytes, name }) => decodeSegment(bytes, name, newer))
    .reverse()
}

function changedRows([keys, namespaces, changes]: ChangedColumns, named: (numbers: readonly number[]) => unknown[]): ChangedRows {
  return { keys, namespaces: named(namespaces), changes }
}
