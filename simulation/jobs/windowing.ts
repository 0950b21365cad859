import {
  type AllWindowedStream,
  type Collector,
  CountEvictor,
  type DataStream,
  EventTimeSessionWindows,
  type KeyedStream,
  OutputTag,
  SlidingEventTimeWindows,
  type TimeWindow,
  TumblingEventTimeWindows,
  type WindowAssigner,
  type WindowedStream,
} from '../../runtime/index.js'
import type { Draw } from './draw.js'
import type { Item } from './item.js'
import type { Results, Scene } from './job-plan.js'

export type WindowShape = 'tumbling' | 'sliding' | 'session'

/** Event-time windows with a function that tells everything of a window which does not depend on how inputs interleave. */
export interface PlannedWindows {
  readonly label: string
  readonly assigner: () => WindowAssigner<Item, TimeWindow>
  readonly fn: 'reduce' | 'aggregate' | 'process' | 'reduce+process' | 'aggregate+process'
  readonly latenessMs: number
  /** The function tells in which order a key's items came. */
  readonly inOrder: boolean
  /** Only the last few items of a window count. */
  readonly evictTo: number | undefined
}

export function drawWindows(draw: Draw, shape: WindowShape, inOrder: boolean): PlannedWindows {
  const fn = inOrder ? 'process' : draw.pick(['reduce', 'aggregate', 'process', 'reduce+process', 'aggregate+process'] as const)
  const evictTo = inOrder && draw.chance(0.3) ? draw.between(1, 3) : undefined
  // Nothing is late, so nothing fires again; but sessions would go on merging with what has fired.
  const latenessMs = shape === 'session' ? 0 : draw.pick([0, 0, 100])
  const { label, assigner } = drawAssigner(draw, shape)
  const more = `${inOrder ? ' in order' : ''}${evictTo === undefined ? '' : ` last ${evictTo}`}${latenessMs === 0 ? '' : ` lateness ${latenessMs}`}`
  return { label: `${label} ${fn}${more}`, assigner, fn, latenessMs, inOrder, evictTo }
}

function drawAssigner(draw: Draw, shape: WindowShape): Pick<PlannedWindows, 'label' | 'assigner'> {
  if (shape === 'session') return drawSessions(draw)
  const sizeMs = draw.pick([50, 100, 250])
  const offsetMs = draw.pick([0, 0, 20])
  if (shape === 'tumbling') return { label: `tumbling ${sizeMs} ms`, assigner: () => TumblingEventTimeWindows.of(sizeMs, offsetMs) }
  const slideMs = draw.pick([sizeMs / 2, sizeMs / 2, sizeMs * 2])
  return { label: `sliding ${sizeMs}/${slideMs} ms`, assigner: () => SlidingEventTimeWindows.of(sizeMs, slideMs, offsetMs % slideMs) }
}

/**
 * No gap is a multiple of 10, as times are: sessions that just touch merge if the first has not fired yet, so there must be none. Nor does an item's own
 * window hold that of an earlier or later one: an item whose window equals a session that has grown makes it begin anew, as in Flink.
 */
function drawSessions(draw: Draw): Pick<PlannedWindows, 'label' | 'assigner'> {
  if (draw.chance(0.3)) {
    const gapOf = ({ t }: Item) => 35 + 2 * (Math.abs(t / 10) % 3)
    return { label: 'session by item', assigner: () => EventTimeSessionWindows.withDynamicGap<Item>(gapOf) }
  }
  const gapMs = draw.pick([5, 35, 75])
  return { label: `session ${gapMs} ms`, assigner: () => EventTimeSessionWindows.withGap(gapMs) as WindowAssigner<Item, TimeWindow> }
}

const LATE = new OutputTag<Item>('late')

/** The windows' results; late items, which there must not be, go to the sink `lateSink`. */
export function windowed(scene: Scene, keyed: KeyedStream<Item, string>, windows: PlannedWindows, lateSink: string): Results {
  const open = keyed.window(windows.assigner()).allowedLateness(windows.latenessMs).sideOutputLateData(LATE)
  const results = computed(windows.evictTo === undefined ? open : open.evictor(CountEvictor.of(windows.evictTo)), windows)
  scene.sink(lateSink, results.getSideOutput(LATE))
  return results
}

export function windowedAll(scene: Scene, items: DataStream<Item>, windows: PlannedWindows, lateSink: string): Results {
  const open = items.windowAll(windows.assigner()).allowedLateness(windows.latenessMs).sideOutputLateData(LATE)
  const results = computedAll(open as unknown as AllWindowedStream<Item, TimeWindow, true>, windows)
  scene.sink(lateSink, results.getSideOutput(LATE))
  return results
}

function computed(open: WindowedStream<Item, string, TimeWindow, boolean>, { fn, inOrder }: PlannedWindows): Results {
  // All functions here can merge.
  const windows = open as unknown as WindowedStream<Item, string, TimeWindow, true>
  const telling = {
    process: (key: string, { window }: InWindow, all: Iterable<unknown>, out: Collector<unknown>) => out.collect({ key, ...told(window, all) }),
  }
  switch (fn) {
    case 'reduce':
      return windows.reduce(summed)
    case 'aggregate':
      return windows.aggregate(totals)
    case 'reduce+process':
      return windows.reduce(summed, telling)
    case 'aggregate+process':
      return windows.aggregate(totals, telling)
    case 'process':
      return windows.process<unknown>({
        process: (key, { window }, items, out) => out.collect({ key, ...told(window, idsOf(items, inOrder)) }),
      })
  }
}

function computedAll(windows: AllWindowedStream<Item, TimeWindow, true>, { fn, inOrder }: PlannedWindows): Results {
  const telling = { process: ({ window }: InWindow, all: Iterable<unknown>, out: Collector<unknown>) => out.collect(told(window, all)) }
  switch (fn) {
    case 'reduce':
      return windows.reduce(summedAll)
    case 'aggregate':
      return windows.aggregate(totals)
    case 'reduce+process':
      return windows.reduce(summedAll, telling)
    case 'aggregate+process':
      return windows.aggregate(totals, telling)
    case 'process':
      return windows.process<unknown>({ process: ({ window }, items, out) => out.collect(told(window, idsOf(items, inOrder))) })
  }
}

interface InWindow {
  readonly window: TimeWindow
}

function told(
  { start, end }: TimeWindow,
  all: Iterable<unknown>,
): { readonly start: number; readonly end: number; readonly all: readonly unknown[] } {
  return { start, end, all: [...all] }
}

function idsOf(items: Iterable<Item>, inOrder: boolean): number[] {
  const ids = [...items].map(({ id }) => id)
  return inOrder ? ids : ids.sort((a, b) => a - b)
}

const summed = (a: Item, b: Item): Item => ({ id: Math.min(a.id, b.id), key: a.key, v: a.v + b.v, t: Math.min(a.t, b.t) })

const summedAll = (a: Item, b: Item): Item => ({ ...summed(a, b), key: a.key < b.key ? a.key : b.key })

interface Totals {
  readonly n: number
  readonly sum: number
  readonly first: number
}

const totals = {
  createAccumulator: (): Totals => ({ n: 0, sum: 0, first: Number.MAX_SAFE_INTEGER }),
  add: ({ v, id }: Item, { n, sum, first }: Totals): Totals => ({ n: n + 1, sum: sum + v, first: Math.min(first, id) }),
  getResult: (all: Totals): Totals => all,
  merge: (a: Totals, b: Totals): Totals => ({ n: a.n + b.n, sum: a.sum + b.sum, first: Math.min(a.first, b.first) }),
}
