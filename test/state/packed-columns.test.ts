import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, unpack } from '../../runtime/state/index.js'
import { type PackedColumns, packColumns, unpackColumns } from '../../runtime/state/packed-columns.js'
import { packNumbers, unpackNumbers } from '../../runtime/state/packed-numbers.js'

const EDGES = [0, -0, 1, -1, 0.1, 0.25, 12.34, -12.34, 2 ** 31, 2 ** 49, -(2 ** 49), 2 ** 50, 2 ** 53, -(2 ** 53), 1e300, 5e-324, Number.NaN]
const number = fc.oneof(
  fc.constantFrom(...EDGES, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.integer().map((n) => n / 100),
)

describe('packed numbers', () => {
  it('come back as they are, bit for bit', () => {
    fc.assert(
      fc.property(fc.oneof(fc.array(number), fc.array(fc.integer()), fc.array(fc.integer().map((n) => n / 100))), (numbers) => {
        const back = unpackNumbers(packNumbers(numbers, numbers.length), numbers.length)
        expect(back.length).toBe(numbers.length)
        numbers.forEach((n, i) => {
          expect(Object.is(back[i], n)).toBe(true)
        })
      }),
      { numRuns: 500 },
    )
  })

  it('are few bytes where they are like their neighbours', () => {
    const times = Array.from({ length: 1_000 }, (_, i) => 1_700_000_000_000 + 3 * i)
    expect(packNumbers(times, 1_000).length).toBeLessThan(20)
    const jittered = times.map((time, i) => time + ((i * 7_919) % 200))
    expect(packNumbers(jittered, 1_000).length).toBeLessThan((9 * 1_000) / 8 + 20)
    const cents = times.map((_, i) => ((i * 7_919) % 10_000) / 100)
    expect(packNumbers(cents, 1_000).length).toBeLessThan((14 * 1_000) / 8 + 12)
    // Sums of cents, some of which are no cents: each of those costs twelve bytes, and not all of them eight.
    const sums = cents.map((n, i) => (i % 20 === 3 ? n + 0.1 + 0.2 : n))
    expect(sums.filter((n) => Math.round(n * 100) / 100 !== n).length).toBeGreaterThan(10)
    expect(packNumbers(sums, 1_000).length).toBeLessThan(2_800)
    expect(unpackNumbers(packNumbers(sums, 1_000), 1_000)).toEqual(sums)
    expect(packNumbers([Math.PI], 1).length).toBe(9)
  })

  it('refuse bytes that are not so many', () => {
    const bytes = packNumbers([1, 2, 3], 3)
    expect(() => unpackNumbers(bytes, 2)).toThrow(RangeError)
    expect(() => unpackNumbers(bytes, 4)).toThrow(RangeError)
    expect(() => unpackNumbers(packNumbers([Number.NaN], 1), 2)).toThrow(RangeError)
    expect(() => unpackNumbers(Uint8Array.of(7, 0), 1)).toThrow(RangeError)
  })
})

describe('packed columns', () => {
  const record = fc.record({ a: number, b: fc.string(), c: fc.constantFrom('aaa', 'bbb', 'ccc') }, { noNullPrototype: true })

  it('come back as they are', () => {
    fc.assert(
      fc.property(fc.oneof(fc.array(record, { minLength: 1, maxLength: 80 }), fc.array(fc.string(), { minLength: 1, maxLength: 80 })), (values) => {
        const packed = packColumns(values, values.length)
        expect(packed).toBeDefined()
        expect(unpackColumns(packed as NonNullable<typeof packed>, values.length)).toEqual(values)
      }),
      { numRuns: 500 },
    )
  })

  it('give back names with numbers, also those that were seen before and those of which too many kinds are', () => {
    // Equal in the low bits, so that one takes the other's place.
    const apart = 2 ** 34
    for (let round = 0; round < 3; round++) {
      for (const prefix of ['user-', '', ...Array.from({ length: 10 }, (_, i) => `${'kind'.slice(i % 4)}${'-'.repeat(i)}`)]) {
        const names = Array.from({ length: 200 }, (_, i) => prefix + String((i % 50) + apart * (i % 3)).padStart(12, '0'))
        expect(unpackColumns(packColumns(names, names.length) as PackedColumns, names.length)).toEqual(names)
      }
    }
  })

  it('take strings of one length together, and of two strings do not take one for lengths', () => {
    for (const values of [
      ['', ''],
      ['ab', 'cd'],
      ['ab', 'c'],
      ['é', '€'],
      ['a'],
      Array.from({ length: 40 }, () => ''),
      Array.from({ length: 40 }, (_, i) => `user-${100 + i}`),
      Array.from({ length: 40 }, (_, i) => `order-of-a-long-name-${String(7_919 * i).padStart(12, '0')}`),
      Array.from({ length: 40 }, (_, i) => String(10 ** 19 + 10 ** 17 * i)),
      ['user-01', 'user-1a'],
      ['user-01', 'uses-02'],
      ['01', '99', '10'],
    ]) {
      expect(unpackColumns(packColumns(values, values.length) as never, values.length)).toEqual(values)
    }
  })

  it('change no neighbour of a string with a lone surrogate, which itself becomes U+FFFD on the wire', () => {
    const lone = '\ud83dx'
    for (const values of [
      ['aa', lone, 'bb', 'cc'],
      ['a', `a${lone}`, 'bbb'],
      Array.from({ length: 40 }, (_, i) => (i === 7 ? lone : `k${i}`)),
      Array.from({ length: 40 }, (_, i) => ({ id: i, name: i === 7 ? lone : `k${i}` })),
    ] as unknown[][]) {
      const sent = unpack(pack(packColumns(values, values.length))) as PackedColumns
      const came = unpackColumns(sent, values.length)
      const well = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll('\\ud83d', '\ufffd'))
      expect(came.map((value) => JSON.stringify(value).replaceAll(/\ufffd+/g, '\ufffd'))).toEqual(values.map((value) => JSON.stringify(well(value))))
    }
  })

  it('take numbered names as numbers', () => {
    const names = Array.from({ length: 1_000 }, (_, i) => ({ user: `user-${String((7_919 * i) % 10_000).padStart(6, '0')}` }))
    const [, columns] = packColumns(names, 1_000) as NonNullable<ReturnType<typeof packColumns>>
    expect(columns[0]).toMatchObject(['user-', 6, expect.any(Uint8Array)])
    expect((columns[0][2] as Uint8Array).length).toBeLessThan((14 * 1_000) / 8 + 20)
    expect(unpackColumns([['user'], columns], 1_000)).toEqual(names)
  })

  it('are none for records of another shape', () => {
    for (const values of [[], [{ a: [1] }], [{ a: 1 }, { b: 1 }], [new Date(0)], [null]]) expect(packColumns(values, values.length)).toBeUndefined()
  })
})
