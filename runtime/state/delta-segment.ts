import { crc32 } from '../core/index.js'
import type { InternalKey } from './keys.js'
import { NamespaceIndex } from './namespace-index.js'
import type { NewerRows } from './newer-rows.js'
import { type PackedColumns, packColumns, unpackColumns } from './packed-columns.js'
import { packNumbers, unpackNumbers } from './packed-numbers.js'
import { Groups } from './row-groups.js'
import type { DecodedSegment, RowBlock, SegmentHeader, StateInfo } from './segment.js'
import { damagedSegment } from './segment-fault.js'
import { createPacker } from './structural.js'

/** MRS3: a delta by columns. */
export const DELTA_MAGIC = 0x4d525333
/** Magic, and the number of rows. */
const PREFIX_BYTES = 8
const CRC_BYTES = 4

/** Keys or values: by columns where they have one shape; as they are; or how many they are, when all are null. */
type PackedValues = PackedColumns | { readonly rows: readonly unknown[] } | number
type PackedRows = readonly [keys: PackedValues, namespaces: Uint8Array, size: number]

type PackedState = readonly [
  info: readonly [name: string, kind: string, serde: string],
  removed: PackedRows | null,
  put: readonly [...PackedRows, values: PackedValues] | null,
  changed: readonly [...PackedRows, changes: PackedValues] | null,
]

type Body = readonly [maxParallelism: number, namespaces: readonly unknown[], states: readonly PackedState[]]

/**
 * What a commit changed, for a log that only the subtask itself reads: `blocks` hold the rows of all key groups, and so the columns of a state are long
 * ones, in few bytes. Magic, number of rows, body as MessagePack, CRC-32 of all before it.
 */
export function encodeDelta({ maxParallelism, states }: Pick<SegmentHeader, 'maxParallelism' | 'states'>, blocks: readonly RowBlock[]): Uint8Array {
  const namespaces = new NamespaceIndex()
  const packedStates = blocks.map((block) => packState(states[block.state], block, namespaces))
  const body: Body = [maxParallelism, namespaces.list, packedStates]
  const packed = createPacker().pack(body)
  const bytes = new Uint8Array(PREFIX_BYTES + packed.length + CRC_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, DELTA_MAGIC)
  view.setUint32(4, rowsOf(packedStates), true)
  bytes.set(packed, PREFIX_BYTES)
  const end = PREFIX_BYTES + packed.length
  view.setUint32(end, crc32(bytes.subarray(0, end)), true)
  return bytes
}

/** Rows of a delta, which is not decoded for it. Segments that are none count as 0. */
export function deltaRows(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return view.getUint32(0) === DELTA_MAGIC ? view.getUint32(4, true) : 0
}

function rowsOf(states: readonly PackedState[]): number {
  return states.reduce((sum, [, ...parts]) => sum + parts.reduce((ofState, part) => ofState + (part?.[2] ?? 0), 0), 0)
}

function packState({ name, kind, serde }: StateInfo, block: RowBlock, namespaces: NamespaceIndex): PackedState {
  const { removedKeys, removedNamespaces, keys, changed } = block
  return [
    [name, kind, serde],
    removedKeys.length === 0 ? null : packRows(removedKeys, removedNamespaces, namespaces),
    keys.length === 0 ? null : [...packRows(keys, block.namespaces, namespaces), packValues(block.values)],
    changed === undefined ? null : [...packRows(changed.keys, changed.namespaces, namespaces), packValues(changed.changes)],
  ]
}

function packRows(keys: readonly unknown[], ofRows: readonly unknown[], namespaces: NamespaceIndex): PackedRows {
  return [packValues(keys), packNumbers(namespaces.of(ofRows), keys.length), keys.length]
}

function packValues(values: readonly unknown[]): PackedValues {
  if (values.every((value) => value === null)) return values.length
  return packColumns(values, values.length) ?? { rows: values }
}

function unpackValues(values: PackedValues, size: number): unknown[] {
  if (typeof values === 'number') return new Array(size).fill(null)
  return 'rows' in values ? [...values.rows] : unpackColumns(values, size)
}

/** Checks the bytes, and decodes them. Throws CHECKPOINT_CORRUPT; `name` is for the message. */
export function readDelta(bytes: Uint8Array, name: string): DecodedSegment {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = bytes.length - CRC_BYTES
  const whole = end > PREFIX_BYTES && view.getUint32(0) === DELTA_MAGIC && view.getUint32(end, true) === crc32(bytes.subarray(0, end))
  if (!whole) throw damagedSegment(name, 'the checksum of a block does not match')
  return decodeDelta(bytes)
}

/** `bytes` have been checked against their CRC. With `newer`, rows of which that has all are left out, and those of which this says all are put there. */
export function decodeDelta(bytes: Uint8Array, newer?: NewerRows): DecodedSegment {
  const [maxParallelism, namespaces, packed] = createPacker().unpack(bytes.subarray(PREFIX_BYTES, bytes.length - CRC_BYTES)) as Body
  const groups = new Groups(maxParallelism)
  // Parts come behind whole rows, and these behind removals: so the newest stand last, and are looked at first.
  for (const [state, [[name], removed, put, changed]] of packed.entries()) {
    const known = newer?.of(name, namespaces)
    const changes = changed === null ? [] : unpackValues(changed[3], changed[2])
    eachRow(changed, (key, namespace, row) => {
      if (known?.has(key, namespace) !== true) groups.change(state, key, namespaces[namespace], changes[row])
    })
    const values = put === null ? [] : unpackValues(put[3], put[2])
    eachRow(put, (key, namespace, row) => {
      if (known?.add(key, namespace) !== false) groups.put(state, key, namespaces[namespace], values[row])
    })
    eachRow(removed, (key, namespace) => {
      if (known?.add(key, namespace) !== false) groups.remove(state, key, namespaces[namespace])
    })
  }
  const keyGroups = [...groups.blocks.keys()].sort((a, b) => a - b)
  const states = packed.map(([[name, kind, serde]]) => ({ name, kind, serde }))
  return {
    header: { kind: 'delta', maxParallelism, states, rows: groups.rows, namespaces, groups: keyGroups.map((keyGroup) => [keyGroup, 0, 0] as const) },
    *blocks(first, last) {
      if (first === last) {
        for (const block of groups.blocks.get(first) ?? []) yield { keyGroup: first, block }
        return
      }
      for (const keyGroup of keyGroups) {
        if (keyGroup < first || keyGroup > last) continue
        for (const block of groups.blocks.get(keyGroup) as RowBlock[]) yield { keyGroup, block }
      }
    },
  }
}

/** `namespace` is its number. */
function eachRow(rows: readonly [...PackedRows, ...unknown[]] | null, visit: (key: InternalKey, namespace: number, row: number) => void): void {
  if (rows === null) return
  const [packedKeys, packedNamespaces, size] = rows
  const keys = unpackValues(packedKeys, size) as InternalKey[]
  const numbers = unpackNumbers(packedNamespaces, size)
  for (let row = 0; row < size; row++) visit(keys[row], numbers[row], row)
}
