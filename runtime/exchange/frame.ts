import { crc32, MillraceError } from '../core/index.js'
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
  readonly from: number
  readonly to: number
  /** Counts the frames of the channel (edge, from, to) from 1, without gaps. */
  readonly seq: number
  /** The last checkpoint whose barrier lies before this frame: a higher epoch than that of the frame before is the barrier. */
  readonly epoch: number
  readonly elements: readonly FrameElement[]
  /** Of the channel, behind the elements. */
  readonly watermark: number
  readonly idle: boolean
}

const MAGIC = 0x4d5246 // MRF
const VERSION = 1
const PREFIX_BYTES = 4
const CRC_BYTES = 4

const packer = createPacker()

type PackedElement = readonly ['r', unknown[], Uint8Array] | readonly ['w', number] | readonly ['s', boolean]

/** Magic `MRF` and version, body, CRC-32 of all before it (little-endian). Throws RECORD_UNSERIALISABLE. */
export function encodeFrame(frame: Frame): Uint8Array {
  const { attempt, edge, from, to, seq, epoch, watermark, idle } = frame
  const body = packed([attempt, edge, from, to, seq, epoch, watermark, idle, frame.elements.map(packElement)])
  const bytes = new Uint8Array(PREFIX_BYTES + body.length + CRC_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, (MAGIC << 8) | VERSION)
  bytes.set(body, PREFIX_BYTES)
  const end = PREFIX_BYTES + body.length
  view.setUint32(end, crc32(bytes.subarray(0, end)), true)
  return bytes
}

function packElement(element: FrameElement): PackedElement {
  if (!(element instanceof RecordBatch)) return element.kind === 'watermark' ? ['w', element.watermark] : ['s', element.idle]
  const values = element.values.slice(0, element.size)
  for (const value of values) {
    const fault = structuralFault(value, 'the record')
    if (fault !== undefined) throw unserialisable(fault)
  }
  const timestamps = Float64Array.from(element.timestamps.slice(0, element.size))
  return ['r', values, new Uint8Array(timestamps.buffer)]
}

function packed(body: readonly unknown[]): Uint8Array {
  try {
    return packer.pack(body)
  } catch (thrown) {
    throw unserialisable(thrown instanceof Error ? thrown.message : String(thrown))
  }
}

/** Throws FRAME_CORRUPT for damaged or truncated bytes and for another version. `where` is for the message. */
export function decodeFrame(bytes: Uint8Array, where: string): Frame {
  if (bytes.length < PREFIX_BYTES + CRC_BYTES) throw corrupt(where, `it has only ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const magic = view.getUint32(0)
  if (magic >>> 8 !== MAGIC) throw corrupt(where, 'it does not begin as a frame')
  const end = bytes.length - CRC_BYTES
  if (view.getUint32(end, true) !== crc32(bytes.subarray(0, end))) throw corrupt(where, 'its checksum does not match')
  if ((magic & 255) !== VERSION) throw corrupt(where, `it is of version ${magic & 255}, this function reads version ${VERSION}`)
  const body = packer.unpack(bytes.subarray(PREFIX_BYTES, end)) as [number, number, number, number, number, number, number, boolean, PackedElement[]]
  const [attempt, edge, from, to, seq, epoch, watermark, idle, elements] = body
  return { attempt, edge, from, to, seq, epoch, watermark, idle, elements: elements.map(unpackElement) }
}

function unpackElement(element: PackedElement): FrameElement {
  switch (element[0]) {
    case 'w':
      return { kind: 'watermark', watermark: element[1] }
    case 's':
      return { kind: 'status', idle: element[1] }
    case 'r': {
      // A copy, because the bytes may lie at any offset and numbers of 8 bytes may not (and Buffer.slice copies nothing).
      const timestamps = new Float64Array(new Uint8Array(element[2]).buffer)
      return RecordBatch.of(element[1], Array.from(timestamps))
    }
  }
}

function corrupt(where: string, why: string): MillraceError {
  return new MillraceError('FRAME_CORRUPT', {
    what: `a frame from another stage is damaged: ${why}`,
    where,
    todo: 'Nothing but this job may write to the streams between its stages. Restore the job from its last checkpoint.',
  })
}

function unserialisable(why: string): MillraceError {
  return new MillraceError('RECORD_UNSERIALISABLE', {
    what: `a record must go to another stage and cannot: ${why}`,
    todo: 'Send plain data across keyBy and other shuffles (map class instances to plain objects before).',
  })
}
