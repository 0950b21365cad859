import type { ProcessFunction } from '../../runtime/index.js'
import { type Ev, evTag } from '../element.js'
import { unknownName } from '../unknown-name.js'

/** Process functions on streams without keys. */
export function processFunction(name: string): ProcessFunction<Ev, Ev> {
  switch (name) {
    case 'split':
      return { processElement: (ev, ctx, out) => (ev.v % 2 !== 0 ? ctx.output(evTag('odd'), ev) : out.collect(ev)) }
    case 'late-split':
      return {
        processElement: (ev, ctx, out) => (timestampOf(ctx) <= ctx.timerService.currentWatermark() ? ctx.output(evTag('late'), ev) : out.collect(ev)),
      }
    case 'twice-and-side':
      return {
        processElement: (ev, ctx, out) => {
          out.collect(ev)
          ctx.output(evTag('copy'), ev)
          out.collect({ k: ev.k, v: ev.v * 10, t: ev.t })
        },
      }
    default:
      throw unknownName('process function', name)
  }
}

/** Throws where Java would unbox null. */
export function timestampOf(ctx: { readonly timestamp: number | null }): number {
  if (ctx.timestamp === null) throw new Error('the record has no timestamp')
  return ctx.timestamp
}
