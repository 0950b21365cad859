/** Murmur3's finaliser over (n, salt), modulo 2^32, signed (bench/flink/GENERATOR.md). */
export function mix(n: number, salt: number): number {
  let h = (Math.imul(n, 0x9e3779b1) + Math.imul(salt, 0x85ebca77)) | 0
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

/** A pseudo-random integer, 0 <= result < m < 2^31. */
export function rnd(n: number, salt: number, m: number): number {
  return (mix(n, salt) >>> 0) % m
}

/** A log-uniform index (about Zipf): 2^e - 1 + r with e < bits, r < 2^e. Uses `salt` and `salt + 1`. */
export function zipf(n: number, salt: number, bits: number): number {
  const range = 1 << rnd(n, salt, bits)
  return range - 1 + (mix(n, salt + 1) & (range - 1))
}
