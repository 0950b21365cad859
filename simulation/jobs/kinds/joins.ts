import { OutputTag, SlidingEventTimeWindows, TumblingEventTimeWindows } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'

const LEFT_LATE = new OutputTag<Item>('left-late')
const RIGHT_LATE = new OutputTag<Item>('right-late')

/** Pairs of two streams whose times are near each other; nothing is late. */
export function intervalJoinJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'left'), drawStream(draw, 'right')]
  const lowerMs = draw.pick([-100, -50, 0, 20])
  const upperMs = lowerMs + draw.pick([0, 50, 120])
  const exclusive = draw.chance(0.3)
  return {
    name: `interval join ${lowerMs}..${upperMs} ms`,
    streams,
    puts: drawPuts(draw, streams, { keys: draw.between(4, 8) }),
    sinks: ['out', 'late'],
    compare: 'exact',
    define(scene) {
      const joined = scene
        .items('left')
        .keyBy((item) => item.key)
        .intervalJoin(scene.items('right').keyBy((item) => item.key))
        .between(lowerMs, upperMs)
        .sideOutputLeftLateData(LEFT_LATE)
        .sideOutputRightLateData(RIGHT_LATE)
      const results = (exclusive ? joined.upperBoundExclusive() : joined)
        .process<unknown>({ processElement: (left, right, ctx, out) => out.collect({ left: left.id, right: right.id, t: ctx.timestamp }) })
        .uid('join')
      scene.sink('out', results)
      scene.sink('late', results.getSideOutput(LEFT_LATE).union(results.getSideOutput(RIGHT_LATE)))
    },
  }
}

/** Pairs, or groups, of two streams in one window. */
export function windowJoinJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'left'), drawStream(draw, 'right')]
  const groups = draw.chance(0.5)
  const sizeMs = draw.pick([50, 100])
  const sliding = draw.chance(0.3)
  return {
    name: `${groups ? 'co-group' : 'window join'} ${sizeMs} ms${sliding ? ' sliding' : ''}`,
    streams,
    puts: drawPuts(draw, streams, { keys: draw.between(3, 8) }),
    sinks: ['out'],
    compare: 'exact',
    define(scene) {
      const [left, right] = [scene.items('left'), scene.items('right')]
      const assigner = () => (sliding ? SlidingEventTimeWindows.of(sizeMs, sizeMs / 2) : TumblingEventTimeWindows.of(sizeMs))
      const key = (item: Item) => item.key
      const results = groups
        ? left
            .coGroup(right)
            .where(key)
            .equalTo(key)
            .window(assigner())
            .apply<unknown>((lefts, rights, out) => out.collect({ lefts: idsOf(lefts), rights: idsOf(rights) }))
        : left
            .join(right)
            .where(key)
            .equalTo(key)
            .window(assigner())
            .apply<unknown>((one, other) => ({ left: one.id, right: other.id }))
      scene.sink('out', results.uid('join'))
    },
  }
}

function idsOf(items: readonly Item[]): number[] {
  return items.map(({ id }) => id).sort((a, b) => a - b)
}
