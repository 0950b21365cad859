import { type Collector, type DataStream, valueState } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import { drawWindows, windowed } from '../windowing.js'

/** Two to four streams become one: into windows by key, or into a rolling result where each stream has keys of its own. */
export function unionJob(draw: Draw): JobPlan {
  const streams = Array.from({ length: draw.between(2, 4) }, (_, i) => drawStream(draw, `items-${i + 1}`))
  const rolling = draw.chance(0.4)
  const windows = drawWindows(draw, draw.pick(['tumbling', 'sliding', 'session'] as const), false)
  const spread = !rolling && draw.chance(0.4)
  return {
    name: `union of ${streams.length}, ${rolling ? 'rolling' : windows.label}${spread ? ' behind a rebalance' : ''}`,
    streams,
    puts: drawPuts(draw, streams, { inOrder: rolling, ownKeys: rolling }),
    sinks: rolling ? ['out'] : ['out', 'late'],
    compare: 'exact',
    define(scene) {
      const [first, ...others] = streams.map(({ name }, i) =>
        i % 2 === 0
          ? scene.items(name)
          : scene
              .items(name)
              .map((item) => ({ ...item, v: item.v + i }))
              .setParallelism(scene.sourceParallelism),
      )
      const all: DataStream<Item> = first.union(...others)
      const mapped: DataStream<Item> = spread
        ? all
            .rebalance()
            .map((item) => ({ ...item, v: item.v * 2 }))
            .uid('spread')
        : all
      const keyed = mapped.keyBy((item) => item.key)
      if (!rolling) {
        scene.sink('out', windowed(scene, keyed, windows, 'late').uid('windows'))
        return
      }
      const results = keyed
        .process({
          state: { before: valueState<Item>() },
          processElement(item, { state }, out: Collector<unknown>) {
            const before = state.before.value()
            state.before.update({ ...item, v: ((before?.v ?? 0) * 3 + item.v) % 1009 })
            out.collect({ id: item.id, before })
          },
        })
        .uid('rolling')
      scene.sink('out', results)
    },
  }
}
