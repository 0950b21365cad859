import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromInternalKey, hashKey, type InternalKey, keyGroupOf, keyGroupRange, subtaskOfKeyGroup, toInternalKey } from '../../runtime/state/index.js'

const split = fc
  .tuple(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 400 }))
  .map(([a, b]) => ({ parallelism: Math.min(a, b), maxParallelism: Math.max(a, b) }))

const plain = fc.oneof(fc.string({ unit: 'binary' }), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null))
const key: fc.Arbitrary<unknown> = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string().map((s) => `\u0000${s}`),
  fc.double({ noNaN: true }),
  fc.boolean(),
  fc.bigInt(),
  fc.array(plain, { maxLength: 4 }),
  fc.dictionary(
    fc.string().filter((k) => k !== '__proto__'),
    plain,
    { maxKeys: 4, noNullPrototype: true },
  ),
)

describe('key groups', () => {
  it('take a lone surrogate for what it is once it has crossed the wire', () => {
    for (const lone of ['\ud83d', 'a\ud83d', '\udc00b', '\u0000\ud83d'])
      for (const key of [lone, { id: lone }, [lone]]) {
        const wired = JSON.parse(JSON.stringify(key).replaceAll(/\\ud(83d|c00)/g, '\ufffd'))
        expect(toInternalKey(key)).toBe(toInternalKey(wired))
      }
  })

  it('at every parallelism each group has exactly the subtask whose range holds it', () => {
    fc.assert(
      fc.property(split, ({ parallelism, maxParallelism }) => {
        let next = 0
        for (let subtask = 0; subtask < parallelism; subtask++) {
          const { first, last } = keyGroupRange(subtask, maxParallelism, parallelism)
          expect(first).toBe(next)
          expect(last).toBeGreaterThanOrEqual(first)
          for (let group = first; group <= last; group++) expect(subtaskOfKeyGroup(group, maxParallelism, parallelism)).toBe(subtask)
          next = last + 1
        }
        expect(next).toBe(maxParallelism)
      }),
    )
  })

  it('every key has a group, the same for an equal key', () => {
    fc.assert(
      fc.property(key, split, (value, { maxParallelism }) => {
        const group = keyGroupOf(toInternalKey(value), maxParallelism)
        expect(Number.isInteger(group) && group >= 0 && group < maxParallelism).toBe(true)
        expect(keyGroupOf(toInternalKey(structuredClone(value)), maxParallelism)).toBe(group)
      }),
    )
  })

  it('spreads ordinary keys over the groups', () => {
    for (const keyOf of [(i: number): InternalKey => i, (i: number) => `user-${i}`, (i: number) => `größe-${i}`, (i: number) => BigInt(i)]) {
      const groups = new Map<number, number>()
      for (let i = 0; i < 12_800; i++) groups.set(keyGroupOf(keyOf(i), 128), (groups.get(keyGroupOf(keyOf(i), 128)) ?? 0) + 1)
      expect(groups.size).toBe(128)
      expect(Math.max(...groups.values())).toBeLessThan(200)
    }
  })

  it('the hash is the same for ever: state on disk depends on it', () => {
    const keys: InternalKey[] = [
      '',
      'a',
      'abcd',
      'abcde',
      'größe',
      '日本語',
      '\u{1f600}',
      0,
      1,
      -1,
      1.5,
      1e300,
      true,
      false,
      0n,
      12345678901234567890n,
    ]
    expect(keys.map((k) => hashKey(k) >>> 0)).toMatchInlineSnapshot(`
      [
        0,
        1009084850,
        1139631978,
        3902511862,
        3822294591,
        2779017879,
        3199479546,
        3935659133,
        1096108556,
        2728933689,
        68009912,
        4262614097,
        327001627,
        1541530332,
        71886844,
        531512917,
      ]
    `)
  })
})

describe('keys', () => {
  it('come back as they went in', () => {
    fc.assert(
      fc.property(key, (value) => {
        const back = fromInternalKey(toInternalKey(value))
        // -0 is the key 0, as in a Map.
        expect(JSON.stringify(back, bigints)).toBe(JSON.stringify(sorted(value), bigints))
      }),
    )
  })

  it('the order of fields does not matter, the kind of key does', () => {
    expect(toInternalKey({ a: 1, b: [2] })).toBe(toInternalKey({ b: [2], a: 1 }))
    expect(new Set([1, '1', 1n, true, 'true', [1], ['1'], { 0: 1 }].map(toInternalKey)).size).toBe(8)
    expect(toInternalKey(-0)).toBe(toInternalKey(0))
  })

  it.each([null, undefined, Number.NaN, () => 1, Symbol('s'), new Date(), new Map(), [undefined], { a: Number.NaN }, { a: 1n }])(
    'refuses %s',
    (bad) => {
      expect(() => toInternalKey(bad)).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }))
    },
  )
})

function bigints(_field: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(fields)
}
