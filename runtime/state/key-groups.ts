import type { InternalKey } from './keys.js'

/** Key groups are the unit in which keyed state moves: a key belongs to one for ever, a subtask owns a contiguous range. */
export interface KeyGroupRange {
  readonly first: number
  /** Inclusive. */
  readonly last: number
}

export const DEFAULT_MAX_PARALLELISM = 128
export const UPPER_BOUND_MAX_PARALLELISM = 32_768

export function keyGroupOf(key: InternalKey, maxParallelism: number): number {
  return (hashKey(key) >>> 0) % maxParallelism
}

const HASHES = 2 ** 32

/** Where a key stands among all keys: by its key group, and in that by its hash. Different keys may stand at one place. */
export function placeOfKey(key: InternalKey, maxParallelism: number): number {
  const hash = hashKey(key) >>> 0
  return (hash % maxParallelism) * HASHES + hash
}

/** The first place of a key group. */
export function firstPlaceOf(keyGroup: number): number {
  return keyGroup * HASHES
}

export function keyGroupAt(place: number): number {
  return Math.floor(place / HASHES)
}

/** Flink's KeyGroupRangeAssignment: which subtask owns a key group. */
export function subtaskOfKeyGroup(keyGroup: number, maxParallelism: number, parallelism: number): number {
  return Math.floor((keyGroup * parallelism) / maxParallelism)
}

export function keyGroupRange(subtask: number, maxParallelism: number, parallelism: number): KeyGroupRange {
  return {
    first: Math.floor((subtask * maxParallelism + parallelism - 1) / parallelism),
    last: Math.floor(((subtask + 1) * maxParallelism - 1) / parallelism),
  }
}

const float = new Float64Array(1)
const words = new Int32Array(float.buffer)

/** murmur3 (32 bit) of the serialised key: UTF-8 of strings, the eight bytes of numbers; the type is the seed. */
export function hashKey(key: InternalKey): number {
  switch (typeof key) {
    case 'string':
      return hashString(key)
    case 'number':
      float[0] = key
      return finish(mixWord(mixWord(1, words[0]), words[1]), 8)
    case 'boolean':
      return finish(mixWord(2, key ? 1 : 0), 1)
    default:
      return finish(mixWord(3, hashString(key.toString())), 4)
  }
}

function hashString(text: string): number {
  const length = text.length
  let hash = 0
  let index = 0
  for (; index + 4 <= length; index += 4) {
    const a = text.charCodeAt(index)
    const b = text.charCodeAt(index + 1)
    const c = text.charCodeAt(index + 2)
    const d = text.charCodeAt(index + 3)
    if ((a | b | c | d) > 127) return hashBytes(new TextEncoder().encode(text))
    hash = mixWord(hash, a | (b << 8) | (c << 16) | (d << 24))
  }
  let tail = 0
  for (let shift = 0; index < length; index++, shift += 8) {
    const code = text.charCodeAt(index)
    if (code > 127) return hashBytes(new TextEncoder().encode(text))
    tail |= code << shift
  }
  return finish((length & 3) === 0 ? hash : hash ^ scramble(tail), length)
}

function hashBytes(bytes: Uint8Array): number {
  let hash = 0
  let index = 0
  for (; index + 4 <= bytes.length; index += 4) {
    hash = mixWord(hash, bytes[index] | (bytes[index + 1] << 8) | (bytes[index + 2] << 16) | (bytes[index + 3] << 24))
  }
  let tail = 0
  for (let shift = 0; index < bytes.length; index++, shift += 8) tail |= bytes[index] << shift
  return finish((bytes.length & 3) === 0 ? hash : hash ^ scramble(tail), bytes.length)
}

function scramble(word: number): number {
  const k = Math.imul(word, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}

function mixWord(hash: number, word: number): number {
  const h = hash ^ scramble(word)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

function finish(hash: number, length: number): number {
  let h = hash ^ length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
