import { type Collector, listState, type MapState, mapState, valueState } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan, Results, Scene } from '../job-plan.js'
import { drawCarelessTiming, drawTiming } from '../timing.js'
import { slotOf, slotTimer } from './slots.js'

const FUNCTIONS = { pairs, slots, 'in order': inOrder, flat } as const
type FunctionName = keyof typeof FUNCTIONS

/** Two streams into one function with two inputs. */
export function coProcessJob(draw: Draw): JobPlan {
  const fn = draw.pick(Object.keys(FUNCTIONS) as FunctionName[])
  const timing = fn === 'slots' ? drawTiming : drawCarelessTiming
  const streams = [drawStream(draw, 'left', timing(draw)), drawStream(draw, 'right', timing(draw))]
  return {
    name: `connect, ${fn}`,
    streams,
    puts: drawPuts(draw, streams, { keys: draw.between(4, 8), inOrder: fn === 'in order' }),
    sinks: ['out'],
    compare: 'exact',
    define: (scene) => scene.sink('out', FUNCTIONS[fn](scene).uid('both')),
  }
}

function connected(scene: Scene) {
  const key = (item: Item) => item.key
  return scene.items('left').connect(scene.items('right')).keyBy(key, key)
}

/** Every pair of a key once, by whichever of the two comes second. */
function pairs(scene: Scene): Results {
  return connected(scene).process({
    state: { lefts: listState<number>(), rights: listState<number>() },
    processElement1({ id }, { state }, out: Collector<unknown>) {
      state.lefts.add(id)
      for (const right of state.rights.get()) out.collect({ left: id, right })
    },
    processElement2({ id }, { state }, out) {
      state.rights.add(id)
      for (const left of state.lefts.get()) out.collect({ left, right: id })
    },
  })
}

/** The sums of both sides for a stretch of time, when it is over on both. */
function slots(scene: Scene): Results {
  const add = (state: MapState<number, readonly number[]>, item: Item, side: 0 | 1) => {
    const sums = [...(state.get(slotOf(item.t)) ?? [0, 0])]
    sums[side] += item.id + 1
    state.put(slotOf(item.t), sums)
  }
  return connected(scene).process({
    state: { sums: mapState<number, readonly number[]>() },
    processElement1(item, { state, timerService }) {
      add(state.sums, item, 0)
      timerService.registerEventTimeTimer(slotTimer(item.t))
    },
    processElement2(item, { state, timerService }) {
      add(state.sums, item, 1)
      timerService.registerEventTimeTimer(slotTimer(item.t))
    },
    onTimer(time, { currentKey, state }, out: Collector<unknown>) {
      out.collect({ key: currentKey, slot: slotOf(time), sums: state.sums.get(slotOf(time)) ?? null })
      state.sums.remove(slotOf(time))
    },
  })
}

/** Each side's items of a key have an order; the two sides have none between them. */
function inOrder(scene: Scene): Results {
  const chain = (before: number | null, { id }: Item) => ((before ?? 7) * 31 + id) % 1_000_003
  return connected(scene).process({
    state: { left: valueState<number>(), right: valueState<number>() },
    processElement1(item, { state }, out: Collector<unknown>) {
      const next = chain(state.left.value(), item)
      state.left.update(next)
      out.collect({ left: item.id, next })
    },
    processElement2(item, { state }, out) {
      const next = chain(state.right.value(), item)
      state.right.update(next)
      out.collect({ right: item.id, next })
    },
  })
}

/** Without keys. */
function flat(scene: Scene): Results {
  return scene
    .items('left')
    .rebalance()
    .connect(scene.items('right').rebalance())
    .flatMap<unknown>({
      flatMap1: ({ id, v }, out) => {
        for (let i = 0; i < v % 3; i++) out.collect({ left: id, i })
      },
      flatMap2: ({ id }, out) => out.collect({ right: id }),
    })
}
