import { MillraceError } from '../core/index.js'
import { createPacker, structuralFault } from '../state/structural.js'
import { RecordBatch } from './record-batch.js'

const packer = createPacker()

/** A batch as bytes of its own buffer, to be transferred to another thread. Throws RECORD_UNSERIALISABLE. */
export function encodeBatch(batch: RecordBatch): Uint8Array {
  const { size } = batch
  const values = size === batch.values.length ? batch.values : batch.values.slice(0, size)
  // Each of them: MessagePack would write a function as null and an instance as a plain object, and say nothing.
  for (let i = 0; i < size; i++) {
    const fault = structuralFault(values[i], 'the record')
    if (fault !== undefined) throw unserialisable(fault)
  }
  let packed: Uint8Array
  try {
    packed = packer.pack(values)
  } catch (thrown) {
    throw unserialisable(thrown instanceof Error ? thrown.message : String(thrown))
  }
  const timestamps = Float64Array.from(size === batch.timestamps.length ? batch.timestamps : batch.timestamps.slice(0, size))
  const bytes = new Uint8Array(timestamps.byteLength + packed.length)
  bytes.set(new Uint8Array(timestamps.buffer), 0)
  bytes.set(packed, timestamps.byteLength)
  return bytes
}

export function decodeBatch(bytes: Uint8Array, size: number): RecordBatch {
  const timestamps = Array.from(new Float64Array(bytes.buffer, bytes.byteOffset, size))
  return RecordBatch.of(packer.unpack(bytes.subarray(size * Float64Array.BYTES_PER_ELEMENT)) as unknown[], timestamps)
}

function unserialisable(why: string): MillraceError {
  return new MillraceError('RECORD_UNSERIALISABLE', {
    what: `a record must go to another thread and cannot: ${why}`,
    todo: 'Send plain data across keyBy and other shuffles (map class instances to plain objects before), or run at parallelism 1.',
  })
}
