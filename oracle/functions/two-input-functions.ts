import {
  type CoMapFunction,
  type KeyedBroadcastProcessFunction,
  type KeyedContext,
  type KeyedCoProcessFunction,
  listState,
  mapState,
  type ProcessJoinFunction,
  valueState,
} from '../../runtime/index.js'
import type { Ev } from '../element.js'

const ENRICH_STATE = { with: valueState<number>(), waiting: listState<number>() }

/** Input 2 sets the key's state; an element of input 1 is emitted with it, or waits for it. */
export function enrich(): KeyedCoProcessFunction<string, Ev, Ev, unknown, typeof ENRICH_STATE> {
  return {
    state: ENRICH_STATE,
    processElement1({ k, v }, { state }, out) {
      const known = state.with.value()
      if (known === null) state.waiting.add(v)
      else out.collect({ k, v, with: known })
    },
    processElement2({ k, v: known }, { state }, out) {
      state.with.update(known)
      for (const v of state.waiting.get()) out.collect({ k, v, with: known })
      state.waiting.clear()
    },
  }
}

/** Both inputs register an event timer at v; timers show the combined watermark. */
export function coTimers(): KeyedCoProcessFunction<string, Ev, Ev, unknown> {
  const register = (input: 1 | 2) => (ev: Ev, ctx: KeyedContext<string>, out: { collect(value: unknown): void }) => {
    ctx.timerService.registerEventTimeTimer(ev.v)
    out.collect({ k: ev.k, in: input, v: ev.v, wm: ctx.timerService.currentWatermark() })
  }
  return {
    processElement1: register(1),
    processElement2: register(2),
    onTimer: (timer, ctx, out) => out.collect({ k: ctx.currentKey, timer, wm: ctx.timerService.currentWatermark() }),
  }
}

export function coMap(): CoMapFunction<Ev, Ev, unknown> {
  return { map1: ({ k, v }) => ({ k, in: 1, v }), map2: ({ k, v }) => ({ k, in: 2, v }) }
}

export function intervalPair(): ProcessJoinFunction<Ev, Ev, unknown> {
  return {
    processElement: (left, right, ctx, out) =>
      out.collect({ k: left.k, l: left.v, r: right.v, lts: ctx.leftTimestamp, rts: ctx.rightTimestamp, ts: ctx.timestamp }),
  }
}

/** The broadcast state: threshold by name of the rule. */
export const RULES = mapState<string, number>({ name: 'rules' })

const BROADCAST_STATE = { sum: valueState<number>() }

/** Elements are emitted with the names of the rules that they pass. */
export function broadcastRules(): KeyedBroadcastProcessFunction<string, Ev, Ev, unknown, typeof BROADCAST_STATE> {
  return {
    state: BROADCAST_STATE,
    processElement({ k, v, t }, ctx, out) {
      const sum = (ctx.state.sum.value() ?? 0) + v
      ctx.state.sum.update(sum)
      const passed = [...ctx.getBroadcastState(RULES).entries()].filter(([, threshold]) => v >= threshold)
      const hits = passed.map(([name]) => name).sort()
      out.collect({ k, v, sum, hits, wm: ctx.timerService.currentWatermark() })
      if (t === 'timer') ctx.timerService.registerEventTimeTimer(v)
    },
    processBroadcastElement({ k, v, t }, ctx, out) {
      const rules = ctx.getBroadcastState(RULES)
      if (t === 'del') rules.remove(k)
      else if (t !== 'apply') rules.put(k, v)
      else {
        const sums: [string, number | null][] = []
        ctx.applyToKeyedState(BROADCAST_STATE.sum, (key, state) => sums.push([key, state.value()]))
        out.collect({ k: null, sums: sums.sort(([a], [b]) => (a < b ? -1 : 1)) })
      }
    },
    onTimer: (timer, ctx, out) => out.collect({ k: ctx.currentKey, timer, sum: ctx.state.sum.value(), wm: ctx.timerService.currentWatermark() }),
  }
}
