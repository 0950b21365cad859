import { type Collector, mapState, TumblingEventTimeWindows, valueState } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import { drawCarelessTiming } from '../timing.js'
import { drawWindows, windowed } from '../windowing.js'
import { slotOf, slotTimer } from './slots.js'

/** Keyed twice: the second key's items come from the first key's operator. */
export function threeStageJob(draw: Draw): JobPlan {
  return draw.pick([windowsOfWindows, rollingTwice, timersOfTimers])(draw)
}

/** Sums by key and value, then windows over the sums of a key, which are no less on time than the items were. */
function windowsOfWindows(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  const firstMs = draw.pick([20, 50])
  const second = drawWindows(draw, draw.pick(['tumbling', 'sliding'] as const), false)
  return {
    name: `three stages, tumbling ${firstMs} ms then ${second.label}`,
    streams,
    puts: drawPuts(draw, streams),
    sinks: ['out', 'late'],
    compare: 'exact',
    define(scene) {
      const sums = scene
        .items('items')
        .keyBy((item) => `${item.key}/${item.v % 3}`)
        .window(TumblingEventTimeWindows.of(firstMs))
        .reduce((a, b) => ({ id: Math.min(a.id, b.id), key: a.key, v: a.v + b.v, t: Math.min(a.t, b.t) }))
        .uid('first')
      const results = windowed(
        scene,
        sums.keyBy((item) => item.key),
        second,
        'late',
      )
      scene.sink('out', results.uid('second'))
    },
  }
}

/** The second key is a part of the first, so that its items stay in order. */
function rollingTwice(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items', drawCarelessTiming(draw))]
  return {
    name: 'three stages, rolling twice',
    streams,
    puts: drawPuts(draw, streams, { inOrder: true }),
    sinks: ['first', 'second'],
    compare: 'exact',
    define(scene) {
      const rolling = {
        state: { chain: valueState<number>() },
        processElement(item: Item, { state }: { state: { chain: { value(): number | null; update(value: number): void } } }, out: Collector<Item>) {
          const chain = ((state.chain.value() ?? 7) * 31 + item.v) % 1_000_003
          state.chain.update(chain)
          out.collect({ ...item, v: chain })
        },
      }
      const once = scene
        .items('items')
        .keyBy((item) => item.key)
        .process(rolling)
        .uid('once')
      const twice = once
        .keyBy((item) => `${item.key}/${item.id % 2}`)
        .process(rolling)
        .uid('twice')
      scene.sink('first', once)
      scene.sink('second', twice)
    },
  }
}

/** What timers of the first key emit goes into state of the second. */
function timersOfTimers(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items')]
  return {
    name: 'three stages, timers twice',
    streams,
    puts: drawPuts(draw, streams),
    sinks: ['out'],
    compare: 'exact',
    define(scene) {
      const slotSums = {
        state: { sums: mapState<number, number>() },
        processElement(item: Item, { state, timerService }: SumsContext) {
          state.sums.put(slotOf(item.t), (state.sums.get(slotOf(item.t)) ?? 0) + item.v)
          timerService.registerEventTimeTimer(slotTimer(item.t))
        },
        onTimer(time: number, { currentKey, state }: SumsContext & { readonly currentKey: string }, out: Collector<Item>) {
          out.collect({ id: slotOf(time), key: currentKey, v: state.sums.get(slotOf(time)) ?? -1, t: time })
          state.sums.remove(slotOf(time))
        },
      }
      const first = scene
        .items('items')
        .keyBy((item) => `${item.key}/${item.id % 4}`)
        .process(slotSums)
        .uid('first-timers')
      const second = first
        .keyBy((item) => item.key.split('/')[0])
        .process(slotSums)
        .uid('second-timers')
      scene.sink('out', second)
    },
  }
}

interface SumsContext {
  readonly state: {
    readonly sums: { get(slot: number): number | undefined; put(slot: number, sum: number): void; remove(slot: number): void }
  }
  readonly timerService: { registerEventTimeTimer(time: number): void }
}
