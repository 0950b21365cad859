import { type Collector, OutputTag, valueState } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import { drawCarelessTiming } from '../timing.js'

const ODD = new OutputTag<Item>('odd')
const BIG = new OutputTag<{ readonly id: number; readonly count: number }>('big')

/** Sinks in the source's stage, in the stage that splits the stream, in one behind it, and in a stage alone. */
export function sideOutputsJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items', drawCarelessTiming(draw))]
  return {
    name: 'side outputs and sinks in each stage',
    streams,
    puts: drawPuts(draw, streams, { inOrder: true }),
    sinks: ['raw', 'main', 'odd', 'big'],
    compare: 'exact',
    define(scene) {
      const items = scene.items('items')
      scene.sink('raw', items, 'source')
      const main = items
        .keyBy((item) => item.key)
        .process({
          state: { count: valueState<number>() },
          processElement(item, ctx, out: Collector<unknown>) {
            const count = (ctx.state.count.value() ?? 0) + 1
            ctx.state.count.update(count)
            if (item.v % 2 === 1) ctx.output(ODD, { ...item, v: count })
            if (item.v > 6) ctx.output(BIG, { id: item.id, count })
            if (item.v % 3 !== 0) out.collect({ id: item.id, count })
          },
        })
        .uid('split')
      scene.sink('main', main)
      scene.sink('big', main.getSideOutput(BIG), 'own')
      const odd = main
        .getSideOutput(ODD)
        .keyBy((item) => item.key)
        .reduce((a, b) => ({ ...b, v: (a.v * 7 + b.v) % 1009 }))
        .uid('odd-chain')
      scene.sink('odd', odd)
    },
  }
}
