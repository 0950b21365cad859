import { aggregatingState, type Collector, type KeyedStream, listState, mapState, reducingState, valueState } from '../../../runtime/index.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan, Results } from '../job-plan.js'
import { drawCarelessTiming } from '../timing.js'

type Keyed = KeyedStream<Item, string>

const FUNCTIONS: Readonly<Record<string, (items: Keyed) => Results>> = {
  'value state': (items) =>
    items.process({
      state: { chain: valueState<number>() },
      processElement({ id }, { state }, out: Collector<unknown>) {
        const next = ((state.chain.value() ?? 7) * 31 + id) % 1_000_003
        // A key that is empty again, now and then.
        state.chain.update(next % 11 === 0 ? null : next)
        out.collect({ id, next })
      },
    }),
  'list state': (items) =>
    items.process({
      state: { open: listState<number>() },
      processElement({ id, v }, { state }, out: Collector<unknown>) {
        state.open.add(id)
        out.collect({ id, open: [...state.open.get()] })
        if (v === 0) state.open.clear()
        else if (v === 1) state.open.update([...state.open.get()].slice(-2))
      },
    }),
  'map state': (items) =>
    items.process({
      state: { counts: mapState<number, number>() },
      processElement({ id, v }, { state }, out: Collector<unknown>) {
        const n = (state.counts.get(v) ?? 0) + 1
        if (n === 3) state.counts.remove(v)
        else state.counts.put(v, n)
        out.collect({ id, n, all: [...state.counts.entries()].sort(([a], [b]) => a - b) })
      },
    }),
  'reducing and aggregating state': (items) =>
    items.process({
      state: {
        sum: reducingState<number>((a, b) => a + b),
        mean: aggregatingState<number, readonly [number, number], number>({
          createAccumulator: () => [0, 0],
          add: (v, [n, sum]) => [n + 1, sum + v],
          getResult: ([n, sum]) => Math.floor((100 * sum) / n),
        }),
      },
      processElement({ id, v }, { state }, out: Collector<unknown>) {
        state.sum.add(id)
        state.mean.add(v)
        out.collect({ id, sum: state.sum.get(), mean: state.mean.get() })
      },
    }),
  reduce: (items) => items.reduce((a, b) => ({ ...b, v: (a.v * 3 + b.v) % 1009 })),
  sum: (items) => items.sum('v'),
  maxBy: (items) => items.maxBy('v', false),
  'count windows': (items) => items.countWindow(3).reduce((a, b) => ({ ...b, v: (a.v * 3 + b.v) % 1009 })),
  'sliding count windows': (items) =>
    items.countWindow(4, 2).process({
      process: (key, _ctx, all, out: Collector<unknown>) => out.collect({ key, ids: [...all].map(({ id }) => id) }),
    }),
}

/** A result for each item, or each few, from state that tells everything before it in its key. */
export function keyedStateJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items', drawCarelessTiming(draw))]
  const fn = draw.pick(Object.keys(FUNCTIONS))
  const place = draw.chance(0.3) ? 'own' : undefined
  return {
    name: `keyed ${fn}`,
    streams,
    puts: drawPuts(draw, streams, { inOrder: true }),
    sinks: ['out'],
    compare: 'exact',
    define: (scene) => scene.sink('out', FUNCTIONS[fn](scene.items('items').keyBy((item) => item.key)).uid('state'), place),
  }
}
