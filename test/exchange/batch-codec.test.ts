import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NO_TIMESTAMP } from '../../runtime/core/index.js'
import { decodeBatch, encodeBatch, encodedBytes, RecordBatch, transferables } from '../../runtime/exchange/index.js'

function roundTrip(values: unknown[], timestamps: number[] = values.map(() => NO_TIMESTAMP)): RecordBatch {
  const encoded = encodeBatch(RecordBatch.of(values.slice(), timestamps.slice()))
  return decodeBatch(structuredClone(encoded, { transfer: transferables(encoded) }))
}

const columnsOf = (values: unknown[]) =>
  encodeBatch(
    RecordBatch.of(
      values.slice(),
      values.map(() => 0),
    ),
  ).columns

describe('a batch between threads', () => {
  test('comes back as it was, whatever plain data it holds', () => {
    const plain = fc.oneof(
      fc.record({ a: fc.double(), b: fc.string() }),
      fc.record({ a: fc.integer(), b: fc.string() }, { requiredKeys: ['a'] }),
      fc.jsonValue(),
      fc.double(),
      fc.string(),
      fc.bigInt(),
      fc.constant(undefined),
    )
    const shaped = fc.record({ word: fc.string({ unit: 'grapheme' }), count: fc.double(), __proto__x: fc.string() })
    const some = { minLength: 1, maxLength: 20 }
    const many = { minLength: 33, maxLength: 40 }
    fc.assert(
      fc.property(
        fc.oneof(fc.array(shaped, some), fc.array(shaped, many), fc.array(plain, some), fc.array(plain, many)),
        fc.integer(),
        (values, start) => {
          const timestamps = values.map((_, i) => start + i)
          const back = roundTrip(values, timestamps)
          expect(back.size).toBe(values.length)
          expect(back.timestamps).toEqual(timestamps)
          // Zero's sign is the one thing MessagePack does not keep.
          expect(back.values.map(positiveZero)).toEqual(values.map(positiveZero))
        },
      ),
    )
  })

  test('goes by columns when its records have one shape of numbers and strings, and only then', () => {
    expect(
      columnsOf([
        { a: 1, b: 'x' },
        { a: 2.5, b: 'y' },
      ]),
    ).toBeDefined()
    expect(columnsOf(['x', 'y'])).toBeDefined()
    expect(columnsOf([{ a: 1 }, { a: 1, b: 2 }])).toBeUndefined()
    expect(columnsOf([{ a: 1, b: 2 }, { a: 1 }])).toBeUndefined()
    expect(
      columnsOf([
        { a: 1, b: 2 },
        { a: 1, c: 2 },
      ]),
    ).toBeUndefined()
    expect(columnsOf([{ a: 1 }, { a: undefined }])).toBeUndefined()
    expect(columnsOf([{ a: 1 }, null])).toBeUndefined()
    expect(columnsOf([{ a: 1 }, [1]])).toBeUndefined()
    expect(columnsOf([{}])).toBeUndefined()
  })

  test('keeps the order of fields, which shows when a record is written out', () => {
    const values = [
      { a: 1, b: 'x' },
      { b: 'y', a: 2 },
    ]
    expect(JSON.stringify(roundTrip(values).values)).toBe(JSON.stringify(values))
  })

  test('keeps infinities, NaN, the sign of zero and a field called __proto__ in columns', () => {
    const values = [Number.POSITIVE_INFINITY, Number.NaN, -0].map((n) => JSON.parse(`{"__proto__":"p","n":0}`, (k, v) => (k === 'n' ? n : v)))
    for (const batch of [values, Array.from({ length: 12 }, () => values).flat()]) {
      const back = roundTrip(batch)
      expect(back.values.map((v) => Object.entries(v as object))).toEqual(batch.map((v) => Object.entries(v)))
      expect(columnsOf(batch)).toBeDefined()
    }
  })

  test('says how much it carries and sends no timestamps where there are none', () => {
    const encoded = encodeBatch(
      RecordBatch.of(
        [
          { w: 'abc', n: 1 },
          { w: 'de', n: 2 },
        ],
        [NO_TIMESTAMP, NO_TIMESTAMP],
      ),
    )
    expect(encoded.timestamps).toBeUndefined()
    expect(encodedBytes(encoded)).toBe(5 + 16)
    expect(roundTrip([1], [NO_TIMESTAMP]).timestamps).toEqual([NO_TIMESTAMP])
  })

  test('hands over no buffers for a few records, and the same content as for many', () => {
    const batchOf = (size: number) => {
      const numbers = Array.from({ length: size }, (_, i) => i)
      return RecordBatch.of(
        numbers.map((n) => ({ n, w: `w${n % 10}` })),
        numbers,
      )
    }
    for (const size of [1, 32, 33, 1024]) {
      const batch = batchOf(size)
      const encoded = encodeBatch(batch)
      expect(transferables(encoded).length, `${size}`).toBe(size <= 32 ? 0 : 2)
      expect(encodedBytes(encoded), `${size}`).toBe(size * (8 + 8 + 2))
      expect(roundTrip(batch.values, batch.timestamps)).toEqual(batch)
    }
    // A batch has more room than records.
    const roomy = new RecordBatch(4)
    roomy.values[0] = { n: 1 }
    roomy.timestamps[0] = 7
    roomy.size = 1
    const back = decodeBatch(structuredClone(encodeBatch(roomy)))
    expect(back).toEqual(RecordBatch.of([{ n: 1 }], [7]))
  })

  test('refuses what would not come back, in any place of the batch', () => {
    class Point {
      constructor(readonly x: number) {}
    }
    for (const bad of [() => 1, new Point(1), { f: () => 1 }, { p: new Point(2) }, Symbol('s')]) {
      for (const values of [[bad], [{ x: 1 }, bad], [1, bad]]) {
        expect(() => roundTrip(values)).toThrow(/RECORD_UNSERIALISABLE/)
      }
    }
  })
})

function positiveZero(value: unknown): unknown {
  return JSON.stringify(value, (_k, v) =>
    typeof v === 'bigint' ? `${v}n` : Object.is(v, -0) ? 0 : typeof v === 'number' && !Number.isFinite(v) ? String(v) : v,
  )
}
