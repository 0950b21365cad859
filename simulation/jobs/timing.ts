import { MAX_WATERMARK, WatermarkStrategy } from '../../runtime/index.js'
import type { Draw } from './draw.js'
import { type Item, isLastWord } from './item.js'

/** How a stream gets its watermarks. */
export interface Timing {
  /** What the strategy allows for. */
  readonly outOfOrderMs: number
  /** How far an item's time is behind that of an earlier one, at most; more than `outOfOrderMs` makes late items. */
  readonly disorderMs: number
  readonly generator: 'periodic' | 'punctuated' | 'none'
  /** A last word is the end of time and not only a late time. */
  readonly endOfTime: boolean
  /** Timestamps and watermarks come from an operator behind the source. */
  readonly assignedBehind: boolean
  readonly idlenessMs: number | undefined
}

/** Nothing is late, however records interleave: no item is behind an earlier one, of any split, by more than the strategy allows. */
export function drawTiming(draw: Draw): Timing {
  const outOfOrderMs = draw.pick([0, 20, 60, 200])
  return {
    outOfOrderMs,
    disorderMs: outOfOrderMs,
    generator: draw.chance(0.5) ? 'periodic' : 'punctuated',
    endOfTime: draw.chance(0.3),
    assignedBehind: draw.chance(0.15),
    idlenessMs: undefined,
  }
}

/** For jobs that do not look at watermarks: none at all, or idle splits. The end of time would come with others idle, and end count windows. */
export function drawCarelessTiming(draw: Draw): Timing {
  const timing = drawTiming(draw)
  const which = draw.int(10)
  if (which < 3) return { ...timing, endOfTime: false, idlenessMs: draw.pick([1_000, 30_000]) }
  return which < 5 ? { ...timing, endOfTime: false, generator: 'none', assignedBehind: false } : timing
}

export function strategyOf(timing: Timing): WatermarkStrategy<Item> {
  const strategy = generatorOf(timing).withTimestampAssigner((item: Item) => item.t)
  return timing.idlenessMs === undefined ? strategy : strategy.withIdleness(timing.idlenessMs)
}

function generatorOf({ generator, outOfOrderMs, endOfTime }: Timing): WatermarkStrategy<Item> {
  if (generator === 'none') return WatermarkStrategy.noWatermarks<Item>()
  if (generator === 'periodic' && !endOfTime) return WatermarkStrategy.forBoundedOutOfOrderness<Item>(outOfOrderMs)
  return WatermarkStrategy.forGenerator<Item>(() => {
    let latest = Number.NEGATIVE_INFINITY
    return {
      onEvent(item, timestamp, output) {
        latest = Math.max(latest, timestamp)
        if (endOfTime && isLastWord(item)) output.emitWatermark(MAX_WATERMARK)
        else if (generator === 'punctuated') output.emitWatermark(latest - outOfOrderMs - 1)
      },
      onPeriodicEmit(output) {
        if (generator === 'periodic' && Number.isFinite(latest)) output.emitWatermark(latest - outOfOrderMs - 1)
      },
    }
  })
}
