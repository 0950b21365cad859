import { expect, test } from 'vitest'
import { MAX_WATERMARK } from '../../runtime/core/index.js'
import { WatermarkValve } from '../../runtime/operators/watermark-valve.js'

function valve(channels: number, edges?: readonly number[]) {
  const out: (number | 'idle' | 'active')[] = []
  const output = {
    emitWatermark: (watermark: number) => void out.push(watermark),
    emitStatus: (idle: boolean) => void out.push(idle ? 'idle' : 'active'),
  }
  const made = new WatermarkValve(channels, output, edges)
  return { valve: made, out }
}

test('the least of all channels, never going back', () => {
  const { valve: v, out } = valve(2)
  v.inputWatermark(0, 10)
  expect(out).toEqual([])
  v.inputWatermark(1, 5)
  v.inputWatermark(1, 3)
  v.inputWatermark(1, 20)
  expect(out).toEqual([5, 10])
})

test('an idle channel holds nothing back, and a slow one that comes again only once it has caught up', () => {
  const { valve: v, out } = valve(2)
  v.inputWatermark(0, 10)
  v.inputStatus(1, true)
  expect(out).toEqual([10])
  v.inputStatus(1, false)
  v.inputWatermark(1, 5)
  v.inputWatermark(0, 12)
  expect(out).toEqual([10, 12])
  v.inputWatermark(1, 12)
  v.inputWatermark(0, 20)
  v.inputWatermark(1, 15)
  expect(out).toEqual([10, 12, 15])
})

test('all idle: on to the greatest, then idle; then active again', () => {
  const { valve: v, out } = valve(2)
  v.inputWatermark(0, 10)
  v.inputWatermark(1, 7)
  v.inputStatus(0, true)
  v.inputStatus(1, true)
  v.inputStatus(0, false)
  v.inputWatermark(0, 11)
  expect(out).toEqual([7, 10, 'idle', 'active', 11])
})

test('a channel that has ended does not send the others to the end, idle or not', () => {
  const { valve: v, out } = valve(2)
  v.inputWatermark(0, MAX_WATERMARK)
  v.inputWatermark(1, 7)
  v.inputStatus(1, true)
  expect(out).toEqual([7, 'idle'])
  v.inputStatus(1, false)
  v.inputWatermark(1, 9)
  v.inputWatermark(1, MAX_WATERMARK)
  expect(out).toEqual([7, 'idle', 'active', 9, MAX_WATERMARK])
})

test('a channel that ends while the rest is idle lets time go on to what they have reached', () => {
  const { valve: v, out } = valve(3)
  v.inputWatermark(0, 5)
  v.inputWatermark(1, 30)
  v.inputWatermark(2, 20)
  v.inputStatus(1, true)
  v.inputStatus(2, true)
  v.inputWatermark(0, MAX_WATERMARK)
  expect(out).toEqual([5, 30, 'idle'])
})

test('an edge that has ended counts with the last watermark, as in Flink: beside idle or lagging edges time goes on to the end', () => {
  const { valve: v, out } = valve(3, [0, 0, 1])
  v.inputWatermark(0, 5)
  v.inputWatermark(1, 7)
  v.inputStatus(2, true)
  expect(out).toEqual([5])
  v.inputWatermark(0, MAX_WATERMARK)
  expect(out).toEqual([5, 7])
  v.inputStatus(2, false)
  v.inputWatermark(2, 6)
  v.inputWatermark(1, MAX_WATERMARK)
  expect(out).toEqual([5, 7, MAX_WATERMARK])
})
