import { valueState } from '../../runtime/index.js'
import { jsonTag } from '../element.js'
import type { Stage } from '../oracle-case.js'
import { unknownName } from '../unknown-name.js'
import { type AnyKeyedProcessFunction, keyedFunction } from './keyed-function.js'
import { timestampOf } from './process-functions.js'
import { states, ttlCount } from './state-functions.js'
import { timers } from './timers.js'

export function keyedProcessFunction(stage: Stage): AnyKeyedProcessFunction {
  switch (stage.name) {
    case 'timers':
      return timers()
    case 'timer-chain':
      return timerChain(stage.step, stage.times)
    case 'count-with-timeout':
      return countWithTimeout(stage.timeout)
    case 'dedup':
      return dedup(stage.ttl)
    case 'ttl-count':
      return ttlCount(stage)
    case 'states':
      return states()
    default:
      throw unknownName('keyed process function', stage.name)
  }
}

/** An event timer at v; every timer registers the next one `step` later until `times` have fired. */
function timerChain(step: number, times: number): AnyKeyedProcessFunction {
  return keyedFunction({
    state: { n: valueState<number>() },
    processElement: (ev, ctx) => ctx.timerService.registerEventTimeTimer(ev.v),
    onTimer(timer, ctx, out) {
      const n = (ctx.state.n.value() ?? 0) + 1
      ctx.state.n.update(n)
      out.collect({ k: ctx.currentKey, timer, n, wm: ctx.timerService.currentWatermark() })
      if (n < times) ctx.timerService.registerEventTimeTimer(timer + step)
    },
  })
}

/** As in Flink's documentation. */
function countWithTimeout(timeout: number): AnyKeyedProcessFunction {
  return keyedFunction({
    state: { count: valueState<number>(), last: valueState<number>() },
    processElement(_ev, ctx) {
      const timestamp = timestampOf(ctx)
      ctx.state.count.update((ctx.state.count.value() ?? 0) + 1)
      ctx.state.last.update(timestamp)
      ctx.timerService.registerEventTimeTimer(timestamp + timeout)
    },
    onTimer(at, ctx, out) {
      if (at === (ctx.state.last.value() as number) + timeout) out.collect({ k: ctx.currentKey, count: ctx.state.count.value(), at })
    },
  })
}

function dedup(ttl: number): AnyKeyedProcessFunction {
  return keyedFunction({
    state: { seen: valueState<boolean>() },
    processElement(ev, ctx, out) {
      if (ctx.state.seen.value() !== null) {
        ctx.output(jsonTag('dup'), ev)
        return
      }
      ctx.state.seen.update(true)
      ctx.timerService.registerEventTimeTimer(timestampOf(ctx) + ttl)
      out.collect(ev)
    },
    onTimer: (_timer, ctx) => ctx.state.seen.clear(),
  })
}
