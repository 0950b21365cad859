import {
  type Collector,
  type DataStream,
  type KeyedStream,
  listState,
  ProcessingTimeSessionWindows,
  type ProcessWindowFunction,
  SlidingProcessingTimeWindows,
  type TimeWindow,
  TumblingProcessingTimeWindows,
} from '../../../runtime/index.js'
import { eachOnce, told, valuesOf } from '../checks.js'
import type { Draw } from '../draw.js'
import { drawPuts, drawStream } from '../draw-puts.js'
import type { Item } from '../item.js'
import type { JobPlan } from '../job-plan.js'
import type { JobFacts } from '../simulated-job.js'
import { drawCarelessTiming } from '../timing.js'

/** What was waiting until `due`, ms of processing time, and was told at `now`. */
interface Told {
  readonly ids: readonly number[]
  readonly due: number
  readonly now: number
}

type Keyed = KeyedStream<Item, string>

interface Variant {
  readonly name: string
  /** Longest time that an item waits. */
  readonly longestMs: number
  /** How often each item is told. */
  readonly times: number
  results(items: Keyed): DataStream<Told>
}

/** Windows and timers of the clock. When they fire is chance: each item is in one of them, and none fires before its time. */
export function processingTimeJob(draw: Draw): JobPlan {
  const streams = [drawStream(draw, 'items', drawCarelessTiming(draw))]
  const puts = drawPuts(draw, streams)
  const variant = drawVariant(draw)
  return {
    name: `processing time, ${variant.name}`,
    streams,
    puts,
    sinks: ['out'],
    compare: 'history',
    // A session goes on for as long as items come: the last of them begins the wait.
    settleMs: variant.longestMs * 2,
    define: (scene) => scene.sink('out', variant.results(scene.items('items').keyBy((item) => item.key)).uid('clock')),
    check: (facts) => [...each(facts, puts, variant.times), ...tooEarly(facts)],
  }
}

function each(facts: JobFacts, puts: JobPlan['puts'], times: number): string[] {
  const seen = new Map<number, number>()
  const numbered = valuesOf<Told>(facts, 'out').flatMap(({ ids }) =>
    ids.map((id) => {
      const n = seen.get(id) ?? 0
      seen.set(id, n + 1)
      return id * times + Math.min(n, times)
    }),
  )
  const told = times === 1 ? valuesOf<Told>(facts, 'out').flatMap(({ ids }) => ids) : numbered
  return eachOnce(
    times === 1 ? 'windows' : `windows (${times} * id + which)`,
    told,
    puts.flatMap(({ item }) => Array.from({ length: times }, (_, n) => item.id * times + n)),
  )
}

function tooEarly(facts: JobFacts): string[] {
  const early = valuesOf<Told>(facts, 'out').filter(({ due, now }) => now < due)
  return told(
    'fired too early:',
    early.map(({ ids, due, now }) => `items ${ids.join(' ')} at ${now} instead of ${due}`),
  )
}

function drawVariant(draw: Draw): Variant {
  const sizeMs = draw.pick([1_000, 10_000, 60_000])
  switch (draw.int(4)) {
    case 0:
      return {
        name: `tumbling ${sizeMs} ms`,
        longestMs: sizeMs,
        times: 1,
        results: (items) => items.window(TumblingProcessingTimeWindows.of(sizeMs)).process(telling),
      }
    case 1:
      return {
        name: `sliding ${sizeMs}/${sizeMs / 2} ms`,
        longestMs: sizeMs,
        times: 2,
        results: (items) => items.window(SlidingProcessingTimeWindows.of(sizeMs, sizeMs / 2)).process(telling),
      }
    case 2:
      return {
        name: `sessions ${sizeMs} ms`,
        longestMs: sizeMs,
        times: 1,
        results: (items) => items.window(ProcessingTimeSessionWindows.withGap(sizeMs)).process(telling),
      }
    default:
      return { name: `timers ${sizeMs} ms`, longestMs: sizeMs, times: 1, results: (items) => timers(items, sizeMs) }
  }
}

const telling: ProcessWindowFunction<Item, Told, string, TimeWindow> = {
  process: (_key, { window, currentProcessingTime }, items, out) =>
    out.collect({ ids: [...items].map(({ id }) => id), due: window.maxTimestamp, now: currentProcessingTime }),
}

function timers(items: Keyed, delayMs: number): DataStream<Told> {
  return items.process({
    state: { waiting: listState<number>() },
    processElement({ id }, { state, timerService }) {
      state.waiting.add(id)
      timerService.registerProcessingTimeTimer(timerService.currentProcessingTime() + delayMs)
    },
    onTimer(due, { state, timerService }, out: Collector<Told>) {
      const ids = [...state.waiting.get()]
      state.waiting.clear()
      if (ids.length > 0) out.collect({ ids, due, now: timerService.currentProcessingTime() })
    },
  })
}
