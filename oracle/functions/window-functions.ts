import {
  type Collector,
  type ProcessAllWindowFunction,
  type ProcessWindowFunction,
  TimeWindow,
  ValueStateDescriptor,
  type Window,
  type WindowContext,
} from '../../runtime/index.js'
import { type Ev, jsonTag } from '../element.js'
import { unknownName } from '../unknown-name.js'

const FIRES = new ValueStateDescriptor<number>('fires')
const TOTAL = new ValueStateDescriptor<number>('total')

/** Global windows have no bounds. */
function boundsOf(window: Window): { readonly start: number | null; readonly end: number | null } {
  return window instanceof TimeWindow ? { start: window.start, end: window.end } : { start: null, end: null }
}

function valuesOf(elements: Iterable<Ev>): number[] {
  return Array.from(elements, ({ v }) => v)
}

const ascending = (values: readonly number[]) => values.toSorted((a, b) => a - b)

export function processWindowFunction(name: string): ProcessWindowFunction<Ev, unknown, string, Window> {
  return {
    process(k, ctx, elements, out) {
      out.collect({ k, ...boundsOf(ctx.window), ...windowResult(name, ctx, valuesOf(elements)) })
      if (name === 'collect-side') ctx.output(jsonTag('odd'), { k, end: boundsOf(ctx.window).end })
    },
    clear(ctx) {
      if (name === 'window-state') ctx.windowState.getState(FIRES).clear()
    },
  }
}

function windowResult(name: string, ctx: WindowContext<Window>, vs: readonly number[]): object {
  switch (name) {
    case 'collect':
    case 'collect-side':
      return { vs }
    case 'collect-sorted':
      return { vs: ascending(vs) }
    case 'count':
      return { n: vs.length }
    case 'collect-wm':
      return { vs, wm: ctx.currentWatermark, pt: ctx.currentProcessingTime }
    case 'window-state':
      return { n: vs.length, ...firesAndTotal(ctx) }
    default:
      throw unknownName('window function', name)
  }
}

function firesAndTotal(ctx: WindowContext<Window>): { readonly fires: number; readonly total: number } {
  const ofWindow = ctx.windowState.getState(FIRES)
  const ofKey = ctx.globalState.getState(TOTAL)
  const fires = (ofWindow.value() ?? 0) + 1
  const total = (ofKey.value() ?? 0) + 1
  ofWindow.update(fires)
  ofKey.update(total)
  return { fires, total }
}

/** The same for windowAll, where there is no key. */
export function processAllWindowFunction(name: string): ProcessAllWindowFunction<Ev, unknown, Window> {
  return {
    process(ctx, elements, out) {
      const vs = valuesOf(elements)
      const contents = name === 'count' ? { n: vs.length } : { vs: name === 'collect-sorted' ? ascending(vs) : vs }
      out.collect({ k: null, ...boundsOf(ctx.window), ...contents })
    },
  }
}

/** For a window's one pre-aggregated value. */
export function aggregatedWindowFunction<T>(): ProcessWindowFunction<T, unknown, string, Window> {
  return {
    process(k, ctx, elements, out: Collector<unknown>) {
      const [agg, ...more] = elements
      out.collect({ k, ...boundsOf(ctx.window), agg, more: more.length > 0 })
    },
  }
}
