/** TABLES[k][b]: the CRC of byte b followed by k zero bytes, so that four bytes are taken in one step. */
const TABLES = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)]
for (let n = 0; n < 256; n++) {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  TABLES[0][n] = c
}
for (let k = 1; k < 4; k++) {
  for (let n = 0; n < 256; n++) {
    const c = TABLES[k - 1][n]
    TABLES[k][n] = TABLES[0][c & 255] ^ (c >>> 8)
  }
}
const [T0, T1, T2, T3] = TABLES

/** CRC-32 (IEEE) of `bytes`, unsigned. In plain JavaScript because the rooms that check snapshots and frames import no platform. */
export function crc32(bytes: Uint8Array): number {
  let crc = -1
  let i = 0
  for (const end = bytes.length - 3; i < end; i += 4) {
    crc ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24)
    crc = T3[crc & 255] ^ T2[(crc >>> 8) & 255] ^ T1[(crc >>> 16) & 255] ^ T0[crc >>> 24]
  }
  for (; i < bytes.length; i++) crc = T0[(crc ^ bytes[i]) & 255] ^ (crc >>> 8)
  return (crc ^ -1) >>> 0
}
