import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ZlibCompression } from '../../runtime/backends/node/index.js'
import { decodeFrame, encodeFrame, type Frame, type FrameElement } from '../../runtime/exchange/frame.js'
import { RecordBatch } from '../../runtime/exchange/index.js'

const zlib = new ZlibCompression()

const times = fc.oneof(fc.constant(Number.NEGATIVE_INFINITY), fc.integer(), fc.constant(Number.POSITIVE_INFINITY))
const values = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.bigInt({ min: 0n, max: 1n << 70n }),
  fc.record({ ip: fc.string(), n: fc.double({ noNaN: true }).filter((n) => !Object.is(n, -0)) }),
  fc.constant(null),
)
const batches = fc.array(fc.tuple(values, times), { minLength: 1, maxLength: 20 }).map(
  (rows): FrameElement =>
    RecordBatch.of(
      rows.map(([value]) => value),
      rows.map(([, time]) => time),
    ),
)
const elements = fc.array(
  fc.oneof(
    batches,
    times.map((watermark): FrameElement => ({ kind: 'watermark', watermark })),
    fc.boolean().map((idle): FrameElement => ({ kind: 'status', idle })),
  ),
  { maxLength: 6 },
)
const counts = fc.nat()
const successors = fc.array(fc.record({ splitId: fc.string(), parents: fc.array(fc.string(), { maxLength: 3 }) }), { maxLength: 3 })
const frames: fc.Arbitrary<Frame> = fc.record({
  attempt: counts,
  edge: counts,
  from: fc.string(),
  to: counts,
  seq: counts,
  epoch: counts,
  stop: fc.boolean(),
  elements,
  watermark: times,
  idle: fc.boolean(),
  end: fc.option(successors.map((list) => ({ successors: list }))),
})
const maybeZlib = fc.constantFrom(undefined, zlib)

const EMPTY: Frame = {
  attempt: 1,
  edge: 2,
  from: '3',
  to: 0,
  seq: 1,
  epoch: 0,
  stop: false,
  elements: [],
  watermark: 1_700_000_000_000,
  idle: false,
  end: null,
}
const batchOf = (values: unknown[]) =>
  RecordBatch.of(
    values,
    values.map((_, at) => at),
  )
const lines = (count: number) => batchOf(Array.from({ length: count }, (_, at) => `10.0.0.1 GET /index.html ${at}`))

describe('frame', () => {
  it('comes back as it was, at whatever offset its bytes lie, compressed or not', () => {
    fc.assert(
      fc.property(frames, fc.integer({ min: 0, max: 9 }), maybeZlib, (frame, offset, compression) => {
        const bytes = encodeFrame(frame, compression)
        const shifted = new Uint8Array(offset + bytes.length)
        shifted.set(bytes, offset)
        expect(decodeFrame(shifted.subarray(offset), 'here', zlib)).toEqual(frame)
      }),
    )
  })

  it('is refused when any byte of it is another, or the end is missing', () => {
    const many = fc.integer({ min: 20, max: 60 }).map((count): Frame => ({ ...EMPTY, elements: [lines(count)] }))
    fc.assert(
      fc.property(
        fc.oneof(frames, many),
        maybeZlib,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (frame, compression, at, change, cut) => {
          const bytes = encodeFrame(frame, compression)
          const damaged = cut ? bytes.slice(0, at % bytes.length) : bytes.slice()
          if (!cut) damaged[at % bytes.length] ^= change
          expect(() => decodeFrame(damaged, 'shard 3', zlib)).toThrow(
            expect.objectContaining({ code: 'FRAME_CORRUPT', message: expect.stringContaining('shard 3') }),
          )
        },
      ),
    )
  })

  it('holds timestamps once that stand in the records too, whatever they are', () => {
    for (const at of [(n: number) => 1_700_000_000_000 + n, (n: number) => (n === 3 ? 0 : n), () => 0, (n: number) => (n === 0 ? -0 : n)]) {
      const values = Array.from({ length: 50 }, (_, n) => ({ n, at: at(n) }))
      const frame: Frame = {
        ...EMPTY,
        elements: [
          RecordBatch.of(
            values,
            values.map((value) => value.at),
          ),
        ],
      }
      expect(decodeFrame(encodeFrame(frame), 'here')).toEqual(frame)
    }
    const events = Array.from({ length: 1_000 }, (_, n) => ({
      user: `user-${String((n * 7_919) % 10_000).padStart(6, '0')}`,
      at: 1_700_000_000_000 + n,
    }))
    const batch = RecordBatch.of(
      events,
      events.map(({ at }) => at),
    )
    // Fourteen bits of the user, none of the times, which rise by one.
    expect(encodeFrame({ ...EMPTY, elements: [batch] }).length).toBeLessThan((14 * 1_000) / 8 + 100)
  })

  it('is compressed when that saves something', () => {
    const frame: Frame = { ...EMPTY, elements: [lines(100)] }
    const plain = encodeFrame(frame)
    const bytes = encodeFrame(frame, zlib)
    expect(bytes.length).toBeLessThan(plain.length / 2)
    expect(decodeFrame(bytes, 'here', zlib)).toEqual(frame)
    expect(decodeFrame(plain, 'here')).toEqual(frame)
    expect(() => decodeFrame(bytes, 'here')).toThrow(expect.objectContaining({ code: 'FRAME_CORRUPT' }))
  })

  it('is left as it is when it is small, or random', () => {
    const small: Frame = { ...EMPTY, elements: [lines(5)] }
    expect(encodeFrame(small, zlib)).toEqual(encodeFrame(small))
    let seed = 1
    const noise = Uint8Array.from({ length: 2_000 }, () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      return seed >>> 24
    })
    const random: Frame = { ...EMPTY, elements: [batchOf([noise])] }
    expect(encodeFrame(random, zlib)).toEqual(encodeFrame(random))
  })

  it('is refused when it was compressed with something else, or inflates without end', () => {
    const frame: Frame = { ...EMPTY, elements: [lines(100)] }
    const reversed = (bytes: Uint8Array) => zlib.deflate(bytes).reverse()
    const garbled = encodeFrame(frame, { deflate: reversed, inflate: zlib.inflate.bind(zlib) })
    expect(() => decodeFrame(garbled, 'here', zlib)).toThrow(expect.objectContaining({ code: 'FRAME_CORRUPT' }))
    const zeros = zlib.deflate(new Uint8Array(17 * 1024 * 1024))
    const bomb = encodeFrame({ ...EMPTY, elements: [lines(5_000)] }, { deflate: () => zeros, inflate: zlib.inflate.bind(zlib) })
    expect(bomb.length).toBeLessThan(zeros.length + 100)
    expect(() => decodeFrame(bomb, 'here', zlib)).toThrow(
      expect.objectContaining({ code: 'FRAME_CORRUPT', message: expect.stringContaining('inflated') }),
    )
  })

  it('is a few bytes when it carries nothing but a barrier or an end', () => {
    expect(encodeFrame({ ...EMPTY, seq: 40_000, epoch: 7, stop: true }).length).toBeLessThanOrEqual(30)
    expect(encodeFrame({ ...EMPTY, seq: 40_000, epoch: 7, end: { successors: [] } }).length).toBeLessThanOrEqual(30)
  })

  it('takes only what comes back as it is', () => {
    class Visit {
      readonly ip = '10.0.0.1'
    }
    expect(() => encodeFrame({ ...EMPTY, elements: [RecordBatch.of([{}, new Visit()], [0, 0])] })).toThrow(
      expect.objectContaining({ code: 'RECORD_UNSERIALISABLE', message: expect.stringContaining('Visit') }),
    )
  })
})
