import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Compression } from '../../runtime/ports/index.js'

const MB = 1024 * 1024

/** What every Compression does. */
export function compressionContract(name: string, open: () => Compression): void {
  describe(`Compression: ${name}`, () => {
    it('gives back what it was given', () => {
      const compression = open()
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 3_000 }), fc.nat({ max: 20 }), (bytes, times) => {
          const whole = new Uint8Array(bytes.length * times)
          for (let i = 0; i < times; i++) whole.set(bytes, i * bytes.length)
          expect(new Uint8Array(compression.inflate(compression.deflate(whole), MB))).toEqual(whole)
        }),
      )
    })

    it('says the same bytes for the same bytes', () => {
      const bytes = new TextEncoder().encode('to be or not to be, '.repeat(100))
      expect(open().deflate(bytes)).toEqual(open().deflate(bytes.slice()))
    })

    it('is raw deflate: without a head and a checksum', () => {
      // "aaaaaaaaaa" in a block with fixed codes, as RFC 1951 has it.
      const known = Uint8Array.of(0x4b, 0x4c, 0x84, 0x01, 0x00)
      expect(new TextDecoder().decode(open().inflate(known, MB))).toBe('aaaaaaaaaa')
      expect(open().deflate(new Uint8Array(MB)).length).toBeLessThan(10_000)
    })

    it('refuses more than the limit, and takes the limit', () => {
      const compression = open()
      const deflated = compression.deflate(new Uint8Array(10_000))
      expect(compression.inflate(deflated, 10_000).length).toBe(10_000)
      expect(() => compression.inflate(deflated, 9_999)).toThrow()
    })

    it('refuses what is not deflated, or only a part of it', () => {
      const compression = open()
      expect(() => compression.inflate(Uint8Array.of(255, 255, 255, 255), MB)).toThrow()
      const deflated = compression.deflate(new TextEncoder().encode('to be or not to be, '.repeat(100)))
      expect(() => compression.inflate(deflated.subarray(0, deflated.length - 3), MB)).toThrow()
      expect(() => compression.inflate(new Uint8Array(), MB)).toThrow()
    })
  })
}
