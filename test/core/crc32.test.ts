import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32 } from '../../runtime/core/index.js'

test('is the CRC-32 of zlib, at every length', () => {
  expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
  fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => crc32(bytes) === zlibCrc32(bytes)))
})
