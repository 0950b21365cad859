import { crc32, MillraceError } from '../core/index.js'
import type { Compression, Successor } from '../ports/index.js'
import { isDense, type PackedColumns, packColumns, unpackColumns } from '../state/packed-columns.js'
import { packNumbers, unpackNumbers } from '../state/packed-numbers.js'
import { createPacker, structuralFault } from '../state/structural.js'
import { RecordBatch } from './record-batch.js'

/** What stands in a frame, in the order in which it was emitted: which records are late depends on the watermarks between them. */
export type FrameElement =
  | RecordBatch
  | { readonly kind: 'watermark'; readonly watermark: number }
  | { readonly kind: 'status'; readonly idle: boolean }

/** What one commit of one subtask has for one subtask of another stage (or a part of it: a frame has a limited size). */
export interface Frame {
  /** Of the sending job run; a restore begins a new one. */
  readonly attempt: number
  /** Index of the edge in the plan. */
  readonly edge: number
  /** Name of the sending subtask: its index, or a source's split. */
  readonly from: string
  /** Index of the receiving subtask. */
  readonly to: number
  /** Counts the frames of the channel (edge, from, to) from 1, without gaps. */
  readonly seq: number
  /** The last checkpoint whose barrier lies before this frame: a higher epoch than that of the frame before is the barrier. */
  readonly epoch: number
  /** That barrier is a stop: nothing but an abort goes on behind it. */
  readonly stop: boolean
  readonly elements: readonly FrameElement[]
  /** Of the channel, behind the elements. */
  readonly watermark: number
  readonly idle: boolean
  /** The channel ends behind the elements, and these go on in its place. */
  readonly end: { readonly successors: readonly Successor[] } | null
}

const MAGIC = 0x4d5246 // MRF
const VERSION = 3
const HEAD_BYTES = 5
const CRC_BYTES = 4

/** Bits of the head's last byte. */
const STOP = 1
const IDLE = 2
const END = 4
const DEFLATED = 8

/** A body that is smaller is not worth the time … */
const SMALLEST_DEFLATED = 512
/** … nor is one that stays larger than this part of itself. */
const WORTH_DEFLATING = 0.9
/** A body that claims to be larger is damaged. */
const LARGEST_BODY = 16 * 1024 * 1024

const packer = createPacker()

/**
 * Records by columns ('c') or, of no single shape, as they are ('r'), with their timestamps. Timestamps that stand among the columns, as they often
 * do, are named by the column's number.
 */
type PackedElement =
  | readonly ['c', size: number, timestamps: Uint8Array | number, ...PackedColumns]
  | readonly ['r', unknown[], Uint8Array]
  | readonly ['w', number]
  | readonly ['s', boolean]

/** What is empty is left out from the back, so that a frame that only carries a barrier or a watermark is about 30 bytes. */
type Body = readonly [
  attempt: number,
  edge: number,
  from: string,
  to: number,
  seq: number,
  epoch: number,
  watermark: number,
  elements?: readonly PackedElement[],
  successors?: readonly (readonly [splitId: string, parents: readonly string[]])[],
]

/**
 * Magic `MRF`, version, flags; body as MessagePack, deflated where that saves a tenth; CRC-32 of all before it (little-endian).
 * Throws RECORD_UNSERIALISABLE.
 */
export function encodeFrame(frame: Frame, compression?: Compression): Uint8Array {
  const fields = bodyOf(frame)
  const body = packed(fields)
  const deflated = compression === undefined || isDenseBody(fields) ? undefined : deflate(body, compression)
  const flags = (frame.stop ? STOP : 0) | (frame.idle ? IDLE : 0) | (frame.end === null ? 0 : END) | (deflated === undefined ? 0 : DEFLATED)
  return framed(flags, deflated ?? body)
}

function bodyOf({ attempt, edge, from, to, seq, epoch, watermark, elements, end }: Frame): Body {
  const head = [attempt, edge, from, to, seq, epoch, watermark] as const
  const successors = (end?.successors ?? []).map(({ splitId, parents }) => [splitId, parents] as const)
  if (successors.length > 0) return [...head, elements.map(packElement), successors]
  return elements.length > 0 ? [...head, elements.map(packElement)] : head
}

function isDenseBody([, , , , , , , elements = [], successors]: Body): boolean {
  return successors === undefined && elements.every((element) => element[0] !== 'r' && (element[0] !== 'c' || isDense([element[3], element[4]])))
}

/** undefined when it is not worth it. */
function deflate(body: Uint8Array, compression: Compression): Uint8Array | undefined {
  if (body.length < SMALLEST_DEFLATED || body.length > LARGEST_BODY) return undefined
  const deflated = compression.deflate(body)
  return deflated.length <= body.length * WORTH_DEFLATING ? deflated : undefined
}

function framed(flags: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + body.length + CRC_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, (MAGIC << 8) | VERSION)
  view.setUint8(4, flags)
  bytes.set(body, HEAD_BYTES)
  const end = HEAD_BYTES + body.length
  view.setUint32(end, crc32(bytes.subarray(0, end)), true)
  return bytes
}

function packElement(element: FrameElement): PackedElement {
  if (!(element instanceof RecordBatch)) return element.kind === 'watermark' ? ['w', element.watermark] : ['s', element.idle]
  const { size } = element
  const columns = packColumns(element.values, size)
  if (columns !== undefined) return ['c', size, columnOfTimestamps(element, columns[0]) ?? packNumbers(element.timestamps, size), ...columns]
  const values = element.values.slice(0, size)
  for (const value of values) {
    const fault = structuralFault(value, 'the record')
    if (fault !== undefined) throw unserialisable(fault)
  }
  return ['r', values, packNumbers(element.timestamps, size)]
}

/** The number of the field that holds each record's timestamp. */
function columnOfTimestamps({ values, timestamps, size }: RecordBatch, fields: readonly string[] | null): number | undefined {
  if (fields === null) return undefined
  const column = fields.findIndex((field) => (values[0] as Record<string, unknown>)[field] === timestamps[0])
  if (column < 0) return undefined
  const field = fields[column]
  // Zero has a sign that this comparison does not see.
  for (let i = 0; i < size; i++) if ((values[i] as Record<string, unknown>)[field] !== timestamps[i] || timestamps[i] === 0) return undefined
  return column
}

function packed(body: readonly unknown[]): Uint8Array {
  try {
    return packer.pack(body)
  } catch (thrown) {
    throw unserialisable(thrown instanceof Error ? thrown.message : String(thrown))
  }
}

/** Throws FRAME_CORRUPT for damaged or truncated bytes, for another version, and for deflated bytes without a way to inflate them. `where` is for the message. */
export function decodeFrame(bytes: Uint8Array, where: string, compression?: Compression): Frame {
  const { flags, rest } = checked(bytes, where)
  let body: Body
  let elements: readonly FrameElement[]
  try {
    body = packer.unpack((flags & DEFLATED) === 0 ? rest : inflated(rest, where, compression)) as Body
    elements = (body[7] ?? []).map(unpackElement)
  } catch (thrown) {
    if (thrown instanceof MillraceError) throw thrown
    throw corrupt(where, 'it cannot be decoded', thrown)
  }
  const [attempt, edge, from, to, seq, epoch, watermark, , successors = []] = body
  const end = (flags & END) === 0 ? null : { successors: successors.map(([splitId, parents]) => ({ splitId, parents })) }
  const stop = (flags & STOP) !== 0
  const idle = (flags & IDLE) !== 0
  return { attempt, edge, from, to, seq, epoch, stop, elements, watermark, idle, end }
}

function checked(bytes: Uint8Array, where: string): { readonly flags: number; readonly rest: Uint8Array } {
  if (bytes.length < HEAD_BYTES + CRC_BYTES) throw corrupt(where, `it has only ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const magic = view.getUint32(0)
  if (magic >>> 8 !== MAGIC) throw corrupt(where, 'it does not begin as a frame')
  const end = bytes.length - CRC_BYTES
  if (view.getUint32(end, true) !== crc32(bytes.subarray(0, end))) throw corrupt(where, 'its checksum does not match')
  if ((magic & 255) !== VERSION) throw corrupt(where, `it is of version ${magic & 255}, this function reads version ${VERSION}`)
  return { flags: view.getUint8(4), rest: bytes.subarray(HEAD_BYTES, end) }
}

function inflated(bytes: Uint8Array, where: string, compression: Compression | undefined): Uint8Array {
  if (compression === undefined) throw corrupt(where, 'it is compressed, and this subtask has nothing to read that with')
  try {
    return compression.inflate(bytes, LARGEST_BODY)
  } catch (thrown) {
    throw corrupt(where, 'it cannot be inflated', thrown)
  }
}

function unpackElement(element: PackedElement): FrameElement {
  switch (element[0]) {
    case 'w':
      return { kind: 'watermark', watermark: element[1] }
    case 's':
      return { kind: 'status', idle: element[1] }
    case 'c': {
      const [, size, timestamps, ...columns] = element
      const values = unpackColumns(columns, size)
      if (typeof timestamps !== 'number') return RecordBatch.of(values, unpackNumbers(timestamps, size))
      const field = (columns[0] as readonly string[])[timestamps]
      return RecordBatch.of(
        values,
        values.map((value) => (value as Record<string, number>)[field]),
      )
    }
    case 'r':
      return RecordBatch.of(element[1], unpackNumbers(element[2], element[1].length))
  }
}

function corrupt(where: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError('FRAME_CORRUPT', {
    what: `a frame from another stage is damaged: ${why}`,
    where,
    todo: 'Nothing but this job may write to the streams between its stages. Restore the job from its last checkpoint.',
    cause,
  })
}

function unserialisable(why: string): MillraceError {
  return new MillraceError('RECORD_UNSERIALISABLE', {
    what: `a record must go to another stage and cannot: ${why}`,
    todo: 'Send plain data across keyBy and other shuffles (map class instances to plain objects before).',
  })
}
