import { EventTimeTrigger, OutputTag, PurgingTrigger, TumblingEventTimeWindows, ValueStateDescriptor } from '../../../runtime/index.js'
import { eachOnce, told, valuesOf } from '../checks.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import type { JobFacts } from '../simulated-job.js'
import { drawTiming } from '../timing.js'

/** A window that fires: for the first time, or again because of items that came late. */
interface Firing {
  readonly key: string
  readonly start: number
  /** From 1. */
  readonly firing: number
  readonly ids: readonly number[]
}

const LATE = new OutputTag<Item>('late')
const FIRINGS = new ValueStateDescriptor<number>('firings')

/** Items later than the strategy allows, and idle splits: an item is in its window or among the late ones, as watermarks happen to come. */
export function lateJob(draw: Draw): JobPlan {
  const timing = {
    ...drawTiming(draw),
    outOfOrderMs: 20,
    disorderMs: draw.pick([100, 300]),
    idlenessMs: draw.chance(0.3) ? draw.pick([1_000, 30_000]) : undefined,
  }
  const streams = [drawStream(draw, 'items', timing)]
  const puts = drawPuts(draw, streams)
  const sizeMs = draw.pick([50, 100])
  const latenessMs = draw.pick([0, 0, 50, 200])
  const purging = draw.chance(0.5)
  return {
    name: `late items, tumbling ${sizeMs} ms lateness ${latenessMs}${purging ? ' purging' : ''}`,
    streams,
    puts,
    sinks: ['out', 'late'],
    compare: 'history',
    define(scene) {
      const windows = scene
        .items('items')
        .keyBy((item) => item.key)
        .window(TumblingEventTimeWindows.of(sizeMs))
        .allowedLateness(latenessMs)
        .sideOutputLateData(LATE)
      const results = (purging ? windows.trigger(PurgingTrigger.of(EventTimeTrigger.create())) : windows)
        .process<Firing>({
          process(key, ctx, elements, out) {
            const firings = ctx.windowState.getState(FIRINGS)
            const firing = (firings.value() ?? 0) + 1
            firings.update(firing)
            out.collect({ key, start: ctx.window.start, firing, ids: [...elements].map(({ id }) => id).sort((a, b) => a - b) })
          },
          clear: (ctx) => ctx.windowState.getState(FIRINGS).clear(),
        })
        .uid('windows')
      scene.sink('out', results)
      scene.sink('late', results.getSideOutput(LATE))
    },
    check(facts) {
      const late = valuesOf<Item>(facts, 'late').map(({ id }) => id)
      const { ids, wrong } = purging ? eachFiring(facts) : growingFirings(facts)
      return [
        ...wrong,
        ...eachOnce(
          'windows and late items',
          [...ids, ...late],
          puts.map(({ item }) => item.id),
        ),
      ]
    },
  }
}

function eachFiring(facts: JobFacts): { readonly ids: readonly number[]; readonly wrong: readonly string[] } {
  return { ids: valuesOf<Firing>(facts, 'out').flatMap(({ ids }) => ids), wrong: outOfTurn(facts) }
}

/** A window's later firings have its earlier items, too. */
function growingFirings(facts: JobFacts): { readonly ids: readonly number[]; readonly wrong: readonly string[] } {
  const before = new Map<string, readonly number[]>()
  const found: number[] = []
  const shrunk: string[] = []
  for (const { key, start, firing, ids } of valuesOf<Firing>(facts, 'out')) {
    const window = `${key}/${start}`
    const earlier = firing === 1 ? [] : (before.get(window) ?? [])
    const grown = ids.filter((id) => !earlier.includes(id))
    if (grown.length !== ids.length - earlier.length || grown.length === 0) shrunk.push(`${window} at its firing ${firing}`)
    found.push(...grown)
    before.set(window, ids)
  }
  return { ids: found, wrong: [...outOfTurn(facts), ...told('items lost or nothing new in window', shrunk)] }
}

/** Watermarks begin anew with a restore, and then so may a window that was over. */
function outOfTurn(facts: JobFacts): string[] {
  const before = new Map<string, number>()
  const wrong: string[] = []
  for (const { key, start, firing } of valuesOf<Firing>(facts, 'out')) {
    const window = `${key}/${start}`
    const last = before.get(window) ?? 0
    if (firing !== last + 1 && firing !== 1) wrong.push(`${window}: ${firing} after ${last}`)
    before.set(window, firing)
  }
  return told('firings out of turn in window', wrong)
}
