import { crc32 } from '../core/index.js'
import { pack, unpack } from './structural.js'

const CRC_BYTES = 4

/** MessagePack, then CRC-32 of it (little-endian). */
export function packChecked(value: unknown): Uint8Array {
  const body = pack(value)
  const bytes = new Uint8Array(body.length + CRC_BYTES)
  bytes.set(body)
  new DataView(bytes.buffer).setUint32(body.length, crc32(body), true)
  return bytes
}

/** The value that was packed, or why the bytes are not those that were written. */
export function unpackChecked(bytes: Uint8Array): { readonly value: unknown } | { readonly fault: string } {
  const end = bytes.length - CRC_BYTES
  if (end <= 0) return { fault: `it has only ${bytes.length} bytes` }
  const body = bytes.subarray(0, end)
  const stored = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(end, true)
  return stored === crc32(body) ? { value: unpack(body) } : { fault: 'its checksum does not match' }
}
