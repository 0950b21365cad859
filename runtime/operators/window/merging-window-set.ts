import { assert, MillraceError, type Window } from '../../core/index.js'
import type { MergingWindowAssigner } from './window-assigner.js'

/** A window in flight and the window under which its contents are kept. */
interface InFlight<W> {
  readonly window: W
  readonly stateWindow: W
}

/**
 * Called when windows in flight become one: `mergedWindows` (without the new window) became `mergeResult`; the contents
 * of `mergedStateWindows` must be moved, in this order, into `stateWindowResult`.
 */
export type MergeFunction<W> = (mergeResult: W, mergedWindows: readonly W[], stateWindowResult: W, mergedStateWindows: readonly W[]) => void

/**
 * The windows in flight of one key under a merging assigner, and where their contents are (Flink's MergingWindowSet).
 * A window that grows keeps the state window it began with, so that its contents need not be moved.
 *
 * I1  No two windows in flight would be merged by the assigner.
 * I2  No two windows in flight share a state window.
 * I3  A state window never changes while its window only grows.
 */
export class MergingWindowSet<W extends Window> {
  readonly #assigner: MergingWindowAssigner<never, W>
  /** Few at a time, so a list; in order of their last change. */
  readonly #inFlight: InFlight<W>[] = []
  #changed = false

  /** `data` is what `toData` returned; nothing for a key without windows. */
  constructor(assigner: MergingWindowAssigner<never, W>, data: unknown = null) {
    this.#assigner = assigner
    for (const [window, stateWindow] of pairsOf(data)) this.#put(assigner.windowFromData(window), assigner.windowFromData(stateWindow))
    this.#changed = false
  }

  get size(): number {
    return this.#inFlight.length
  }

  /** Whether the set differs from the data it was made of, or from the last `toData`. */
  get changed(): boolean {
    return this.#changed
  }

  windows(): W[] {
    return this.#inFlight.map((entry) => entry.window)
  }

  /** The window under which the contents of `window` are kept; undefined when it is not in flight. */
  getStateWindow(window: W): W | undefined {
    return this.#inFlight[this.#find(window)]?.stateWindow
  }

  /**
   * Adds a window and returns the one that now stands for it: itself, or what it was merged into. `onMerge` is called
   * when windows that were in flight have changed; not when the new window lies within one of them.
   */
  addWindow(newWindow: W, onMerge: MergeFunction<W>): W {
    const single = this.#addToOnly(newWindow, onMerge)
    if (single !== undefined) return single
    let result = newWindow
    let merged = false
    this.#assigner.mergeWindows([...this.windows(), newWindow], (toBeMerged, mergeResult) => {
      if (this.#merge(newWindow, toBeMerged, mergeResult, onMerge)) {
        result = mergeResult
        merged = true
      }
    })
    // As in Flink, also a window that equals one in flight: if that is the outcome of a merge, the contents it had until now are lost.
    if (!merged && this.getStateWindow(newWindow)?.id !== newWindow.id) this.#put(newWindow, newWindow)
    return result
  }

  /** Takes a window out of flight. */
  retireWindow(window: W): void {
    assert(this.#remove(window), `window ${window.id} is retired, so it must be in flight`)
    this.#changed = true
  }

  /** Plain data for state and snapshots: pairs of window and state window. */
  toData(): readonly (readonly [unknown, unknown])[] {
    this.#changed = false
    return this.#inFlight.map(({ window, stateWindow }) => [this.#assigner.windowToData(window), this.#assigner.windowToData(stateWindow)])
  }

  /** Carries out one merge; returns whether the new window took part. */
  #merge(newWindow: W, toBeMerged: readonly W[], mergeResult: W, onMerge: MergeFunction<W>): boolean {
    const mergedWindows = toBeMerged.filter((window) => window.id !== newWindow.id || this.#find(window) >= 0)
    if (mergedWindows.length === 0) throw brokenAssigner(this.#assigner, `it merges window ${newWindow.id} with no other`)
    const [stateWindow, ...otherStateWindows] = mergedWindows.map((window) => this.#stateWindowOf(window))
    const onlyItself = mergedWindows.length === 1 && mergedWindows[0].id === mergeResult.id
    if (!onlyItself) {
      for (const window of mergedWindows) this.#remove(window)
      this.#put(mergeResult, stateWindow)
      onMerge(mergeResult, mergedWindows, stateWindow, otherStateWindows)
    }
    return toBeMerged.some((window) => window.id === newWindow.id)
  }

  #stateWindowOf(window: W): W {
    const stateWindow = this.getStateWindow(window)
    if (stateWindow === undefined) throw brokenAssigner(this.#assigner, `it merges window ${window.id}, which it was not given`)
    return stateWindow
  }

  /** The ordinary case, one window in flight that the new one joins or lets stand, without lists of one; undefined for all others. */
  #addToOnly(newWindow: W, onMerge: MergeFunction<W>): W | undefined {
    if (this.#inFlight.length !== 1 || this.#assigner.mergePair === undefined) return undefined
    const { window, stateWindow } = this.#inFlight[0]
    const joined = this.#assigner.mergePair(window, newWindow)
    if (joined === undefined || isSame(window, newWindow)) return undefined
    if (isSame(joined, window)) return window
    this.#inFlight[0] = { window: joined, stateWindow }
    this.#changed = true
    onMerge(joined, [window], stateWindow, [])
    return joined
  }

  #find(window: W): number {
    for (let i = 0; i < this.#inFlight.length; i++) if (isSame(this.#inFlight[i].window, window)) return i
    return -1
  }

  #remove(window: W): boolean {
    const at = this.#find(window)
    if (at >= 0) this.#inFlight.splice(at, 1)
    return at >= 0
  }

  #put(window: W, stateWindow: W): void {
    const at = this.#find(window)
    if (at >= 0) this.#inFlight[at] = { window, stateWindow }
    else this.#inFlight.push({ window, stateWindow })
    this.#changed = true
  }
}

function brokenAssigner(assigner: object, what: string): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: `the window assigner does not keep to its contract: ${what}`,
    where: `${assigner}`,
    todo: 'Correct mergeWindows.',
  })
}

function pairsOf(data: unknown): readonly (readonly [unknown, unknown])[] {
  if (data === null || data === undefined) return []
  if (Array.isArray(data) && data.every((pair) => Array.isArray(pair) && pair.length === 2)) return data
  throw new MillraceError('CHECKPOINT_CORRUPT', {
    what: 'the set of merging windows of a key is not a list of pairs',
    todo: 'Restore from another checkpoint.',
  })
}

/** Ids are text that has to be made, so they are compared last. */
function isSame(a: Window, b: Window): boolean {
  return a === b || (a.maxTimestamp === b.maxTimestamp && a.id === b.id)
}
