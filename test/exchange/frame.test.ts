import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeFrame, encodeFrame, type FrameElement } from '../../runtime/exchange/frame.js'
import { RecordBatch } from '../../runtime/exchange/index.js'

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
const frames = fc.record({
  attempt: counts,
  edge: counts,
  from: counts,
  to: counts,
  seq: counts,
  epoch: counts,
  elements,
  watermark: times,
  idle: fc.boolean(),
})

describe('frame', () => {
  it('comes back as it was, at whatever offset its bytes lie', () => {
    fc.assert(
      fc.property(frames, fc.integer({ min: 0, max: 9 }), (frame, offset) => {
        const bytes = encodeFrame(frame)
        const shifted = new Uint8Array(offset + bytes.length)
        shifted.set(bytes, offset)
        expect(decodeFrame(shifted.subarray(offset), 'here')).toEqual(frame)
      }),
    )
  })

  it('is refused when any byte of it is another, or the end is missing', () => {
    fc.assert(
      fc.property(frames, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), (frame, at, change, cut) => {
        const bytes = encodeFrame(frame)
        const damaged = cut ? bytes.slice(0, at % bytes.length) : bytes.slice()
        if (!cut) damaged[at % bytes.length] ^= change
        expect(() => decodeFrame(damaged, 'shard 3')).toThrow(
          expect.objectContaining({ code: 'FRAME_CORRUPT', message: expect.stringContaining('shard 3') }),
        )
      }),
    )
  })

  it('takes only what comes back as it is', () => {
    class Visit {
      readonly ip = '10.0.0.1'
    }
    const frame = { attempt: 0, edge: 0, from: 0, to: 0, seq: 1, epoch: 0, watermark: 0, idle: false }
    expect(() => encodeFrame({ ...frame, elements: [RecordBatch.of([{}, new Visit()], [0, 0])] })).toThrow(
      expect.objectContaining({ code: 'RECORD_UNSERIALISABLE', message: expect.stringContaining('Visit') }),
    )
  })
})
