import { type KeyedContext, type KeyedProcessFunction, valueState } from '../../runtime/index.js'
import type { Ev } from '../element.js'
import { unknownName } from '../unknown-name.js'
import { timestampOf } from './process-functions.js'

const STATE = { fired: valueState<number>() }

type Command = (ev: Ev, ctx: KeyedContext<string, typeof STATE>, out: { collect(value: unknown): void }) => void

/** By label. */
const COMMANDS: Readonly<Record<string, Command>> = {
  reg: ({ v }, { timerService }) => timerService.registerEventTimeTimer(v),
  del: ({ v }, { timerService }) => timerService.deleteEventTimeTimer(v),
  regp: ({ v }, { timerService }) => timerService.registerProcessingTimeTimer(v),
  delp: ({ v }, { timerService }) => timerService.deleteProcessingTimeTimer(v),
  'reg-rel': ({ v }, ctx) => ctx.timerService.registerEventTimeTimer(timestampOf(ctx) + v),
  wm: ({ v }, { currentKey, timestamp, timerService }, out) =>
    out.collect({ k: currentKey, el: v, ts: timestamp, wm: timerService.currentWatermark(), pt: timerService.currentProcessingTime() }),
}

/** The label is a command, v its time; a timer says what it sees. */
export function timers(): KeyedProcessFunction<string, Ev, unknown, typeof STATE> {
  return {
    state: STATE,
    processElement(ev, ctx, out) {
      const command = COMMANDS[ev.t]
      if (command === undefined) throw unknownName('command', ev.t)
      command(ev, ctx, out)
    },
    onTimer(timer, ctx, out) {
      const n = (ctx.state.fired.value() ?? 0) + 1
      ctx.state.fired.update(n)
      const domain = ctx.timeDomain === 'event-time' ? 'event' : 'processing'
      out.collect({ k: ctx.currentKey, timer, ts: ctx.timestamp, domain, n, wm: ctx.timerService.currentWatermark() })
    },
  }
}
