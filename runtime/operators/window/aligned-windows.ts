import { TimeWindow } from '../../core/index.js'

const MAX_CACHED_PANES = 64
/** Bounds the memory of the cache for windows that overlap a thousandfold. */
const MAX_CACHED_REFERENCES = 65_536

/** A span of time [from, to) in which every timestamp has the same windows. */
interface Pane {
  readonly from: number
  readonly to: number
  readonly windows: readonly TimeWindow[]
}

const EMPTY_PANE: Pane = { from: 0, to: 0, windows: [] }

/**
 * The windows of a timestamp for windows of one size that start every `slideMs`, newest first. Tumbling windows are the
 * case `slideMs = sizeMs`. When the slide does not divide the size, each slide has two panes: its first `size % slide`
 * milliseconds belong to one more window than the rest.
 *
 * The hot path is two comparisons with the pane used last; behind it stands a direct-mapped cache of panes, so that
 * elements slightly out of order get the same frozen objects, and no allocation.
 */
export class AlignedWindows {
  #last: Pane = EMPTY_PANE
  readonly #panes: (Pane | undefined)[]
  readonly #paneMask: number
  readonly #windows: (TimeWindow | undefined)[]
  readonly #windowMask: number
  readonly #longPaneMs: number
  readonly #panesPerSlide: 1 | 2

  /** Whole milliseconds, size and slide > 0, abs(offset) < slide. */
  constructor(
    readonly sizeMs: number,
    readonly slideMs: number,
    readonly offsetMs: number,
  ) {
    const overlap = Math.ceil(sizeMs / slideMs)
    this.#longPaneMs = sizeMs % slideMs
    this.#panesPerSlide = this.#longPaneMs === 0 ? 1 : 2
    this.#paneMask = powerOfTwoBelow(Math.max(1, Math.min(MAX_CACHED_PANES, MAX_CACHED_REFERENCES / overlap))) - 1
    this.#windowMask = powerOfTwoBelow(2 * Math.min(overlap + MAX_CACHED_PANES, MAX_CACHED_REFERENCES)) - 1
    this.#panes = new Array(this.#paneMask + 1)
    this.#windows = new Array(this.#windowMask + 1)
  }

  /** `timestamp` must be finite. */
  of(timestamp: number): readonly TimeWindow[] {
    const last = this.#last
    if (timestamp >= last.from && timestamp < last.to) return last.windows
    const pane = this.#pane(timestamp)
    this.#last = pane
    return pane.windows
  }

  #pane(timestamp: number): Pane {
    // The result of TimeWindow.startWithOffset without a remainder of doubles, which is slow; rounding can only be one slide too high.
    let slide = Math.floor((timestamp - this.offsetMs) / this.slideMs)
    if (slide * this.slideMs + this.offsetMs > timestamp) slide--
    const start = slide * this.slideMs + this.offsetMs
    const short = timestamp - start >= this.#longPaneMs
    // `&` takes the low 32 bits of any integer, so the mask is also right for large and negative slide numbers.
    const slot = (slide * this.#panesPerSlide + (short ? 1 : 0)) & this.#paneMask
    const cached = this.#panes[slot]
    if (cached !== undefined && timestamp >= cached.from && timestamp < cached.to) return cached
    const pane: Pane = short
      ? { from: start + this.#longPaneMs, to: start + this.slideMs, windows: this.#windowsAfter(start, start + this.#longPaneMs - this.sizeMs) }
      : { from: start, to: start + this.#longPaneMs, windows: this.#windowsAfter(start, start - this.sizeMs) }
    this.#panes[slot] = pane
    return pane
  }

  /** Windows that start after `bound`, from the one that starts at `newest` back in time. */
  #windowsAfter(newest: number, bound: number): readonly TimeWindow[] {
    const windows: TimeWindow[] = []
    for (let start = newest; start > bound; start -= this.slideMs) windows.push(this.#window(start))
    return Object.freeze(windows)
  }

  /** Neighbouring panes share their windows, and with them the id strings that windows build once. */
  #window(start: number): TimeWindow {
    const slot = ((start - this.offsetMs) / this.slideMs) & this.#windowMask
    const cached = this.#windows[slot]
    if (cached !== undefined && cached.start === start) return cached
    const window = new TimeWindow(start, start + this.sizeMs)
    Object.freeze(window)
    this.#windows[slot] = window
    return window
  }
}

function powerOfTwoBelow(n: number): number {
  return 2 ** Math.floor(Math.log2(n))
}
