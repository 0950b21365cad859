import { MillraceError, NO_TIMESTAMP } from '../core/index.js'
import { type ColumnarBatch, fromColumns, isSmall, toColumns } from '../state/columns.js'
import { createPacker, structuralFault } from '../state/structural.js'
import { RecordBatch } from './record-batch.js'

const packer = createPacker()

/** A batch on its way to another thread: what structured cloning copies fast. */
export interface EncodedBatch {
  readonly size: number
  /** undefined when no record has one. */
  readonly timestamps: Float64Array | readonly number[] | undefined
  /** Records of one shape with numbers and strings … */
  readonly columns: ColumnarBatch | undefined
  /** … and all others, as MessagePack. */
  readonly packed: Uint8Array | undefined
}

/** Throws RECORD_UNSERIALISABLE. */
export function encodeBatch({ size, values, timestamps }: RecordBatch): EncodedBatch {
  const columns = toColumns(values, size)
  return {
    size,
    timestamps: doubles(timestamps, size),
    columns,
    packed: columns === undefined ? packValues(size === values.length ? values : values.slice(0, size)) : undefined,
  }
}

/** A copy of exact size, since the packer's own buffer is shared. */
function packValues(values: readonly unknown[]): Uint8Array {
  // Each of them: MessagePack would write a function as null and an instance as a plain object, and say nothing.
  for (let i = 0; i < values.length; i++) {
    const fault = structuralFault(values[i], 'the record')
    if (fault !== undefined) throw unserialisable(fault)
  }
  try {
    return new Uint8Array(packer.pack(values))
  } catch (thrown) {
    throw unserialisable(thrown instanceof Error ? thrown.message : String(thrown))
  }
}

export function decodeBatch({ size, timestamps, columns, packed }: EncodedBatch): RecordBatch {
  const values = columns === undefined ? (packer.unpack(packed as Uint8Array) as unknown[]) : fromColumns(columns, size)
  return RecordBatch.of(values, numbers(timestamps, size))
}

function doubles(timestamps: readonly number[], size: number): EncodedBatch['timestamps'] {
  if (isSmall(size)) {
    // Grown from empty, because one with holes is cloned slowly.
    const few: number[] = []
    for (let i = 0; i < size; i++) few.push(timestamps[i])
    return few.some((timestamp) => timestamp !== NO_TIMESTAMP) ? few : undefined
  }
  const copy = new Float64Array(size)
  let any = false
  for (let i = 0; i < size; i++) {
    copy[i] = timestamps[i]
    if (timestamps[i] !== NO_TIMESTAMP) any = true
  }
  return any ? copy : undefined
}

function numbers(doubles: EncodedBatch['timestamps'], size: number): number[] {
  const timestamps = new Array<number>(size)
  for (let i = 0; i < size; i++) timestamps[i] = doubles === undefined ? NO_TIMESTAMP : doubles[i]
  return timestamps
}

/** How much an encoded batch carries: timestamps, numbers, characters. */
export function encodedBytes({ timestamps, columns, packed }: EncodedBatch): number {
  return (timestamps?.length ?? 0) * Float64Array.BYTES_PER_ELEMENT + (columns?.bytes ?? 0) + (packed?.length ?? 0)
}

/** Buffers that may be handed over instead of copied. */
export function transferables({ timestamps, columns, packed }: EncodedBatch): ArrayBuffer[] {
  const buffers: ArrayBuffer[] = []
  if (timestamps instanceof Float64Array) buffers.push(timestamps.buffer as ArrayBuffer)
  if (packed !== undefined) buffers.push(packed.buffer as ArrayBuffer)
  for (const column of columns?.columns ?? []) if (column instanceof Float64Array) buffers.push(column.buffer as ArrayBuffer)
  return buffers
}

function unserialisable(why: string): MillraceError {
  return new MillraceError('RECORD_UNSERIALISABLE', {
    what: `a record must go to another thread and cannot: ${why}`,
    todo: 'Send plain data across keyBy and other shuffles (map class instances to plain objects before), or run at parallelism 1.',
  })
}
