import { MillraceError, TimeWindow } from '../../core/index.js'
import { mergeTimeWindows } from './merge-time-windows.js'
import { requireWholeNumber } from './option-checks.js'
import { timeWindowFromData, timeWindowToData } from './time-window-data.js'
import { type MergeWindowsCallback, MergingWindowAssigner } from './window-assigner.js'

/** The silence in milliseconds after which an element's session ends; must be > 0 (Flink's SessionWindowTimeGapExtractor). */
export type SessionWindowTimeGapExtractor<T> = (element: T) => number

/** Base of the session assigners: each element opens a window of its gap, and windows that touch become one. */
export abstract class SessionWindowAssigner<in T> extends MergingWindowAssigner<T, TimeWindow> {
  readonly #gap: number | SessionWindowTimeGapExtractor<T>
  readonly #answer: TimeWindow[] = []

  /** `where` names the factory method in errors. */
  protected constructor(where: string, gap: number | SessionWindowTimeGapExtractor<T>) {
    super()
    if (typeof gap === 'number') requireWholeNumber(where, 'the session gap in milliseconds', gap, 1)
    this.#gap = gap
  }

  /** The one array is used again, since every session window is a new one. */
  protected open(element: T, time: number): readonly TimeWindow[] {
    this.#answer[0] = new TimeWindow(time, time + this.#gapOf(element))
    return this.#answer
  }

  mergeWindows(windows: readonly TimeWindow[], callback: MergeWindowsCallback<TimeWindow>): void {
    mergeTimeWindows(windows, callback)
  }

  override mergePair(a: TimeWindow, b: TimeWindow): TimeWindow | undefined {
    return a.intersects(b) ? a.cover(b) : undefined
  }

  windowToData(window: TimeWindow): unknown {
    return timeWindowToData(window)
  }

  windowFromData(data: unknown): TimeWindow {
    return timeWindowFromData(data)
  }

  override toString(): string {
    return `${this.constructor.name}(${typeof this.#gap === 'number' ? this.#gap : 'dynamic gap'})`
  }

  #gapOf(element: T): number {
    if (typeof this.#gap === 'number') return this.#gap
    const gap = this.#gap(element)
    if (gap > 0 && Number.isFinite(gap)) return gap
    throw new MillraceError('OPTION_INVALID', {
      what: `the session gap of an element must be a number greater than 0, got ${gap}`,
      where: `${this.constructor.name}.withDynamicGap`,
    })
  }
}
