import type { DataStream } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import { drawWindows, type WindowShape, windowed, windowedAll } from '../windowing.js'

/** Keyed event-time windows. */
export function keyedWindowsJob(draw: Draw, shape: WindowShape): JobPlan {
  const inOrder = shape !== 'session' && draw.chance(0.3)
  const streams = [drawStream(draw, 'items')]
  const windows = drawWindows(draw, shape, inOrder)
  const spread = !inOrder && draw.chance(0.4)
  const place = draw.chance(0.3) ? 'own' : undefined
  return {
    name: `${windows.label}${spread ? ' behind a rebalance' : ''}`,
    streams,
    puts: drawPuts(draw, streams, { inOrder }),
    sinks: ['out', 'late'],
    compare: 'exact',
    define(scene) {
      const items = scene.items('items')
      const mapped: DataStream<Item> = spread
        ? items
            .rebalance()
            .map((item) => ({ ...item, v: item.v + 1 }))
            .uid('spread')
        : items
      const results = windowed(
        scene,
        mapped.keyBy((item) => item.key),
        windows,
        'late',
      )
      scene.sink('out', results.uid('windows'), place)
    },
  }
}

/** Windows over the whole stream, in one subtask. */
export function windowAllJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  const windows = drawWindows(draw, draw.pick(['tumbling', 'sliding', 'session'] as const), false)
  const spread = draw.chance(0.5)
  return {
    name: `all ${windows.label}`,
    streams,
    puts: drawPuts(draw, streams),
    sinks: ['out', 'late'],
    compare: 'exact',
    define(scene) {
      const items = scene.items('items')
      const mapped: DataStream<Item> = spread
        ? items
            .rebalance()
            .filter((item) => item.v !== 0)
            .uid('spread')
        : items
      scene.sink('out', windowedAll(scene, mapped, windows, 'late').uid('windows'))
    },
  }
}
