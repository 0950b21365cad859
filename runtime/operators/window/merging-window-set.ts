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
  readonly #inFlight = new Map<string, InFlight<W>>()
  #changed = false

  /** `data` is what `toData` returned; nothing for a key without windows. */
  constructor(assigner: MergingWindowAssigner<never, W>, data: unknown = null) {
    this.#assigner = assigner
    for (const [window, stateWindow] of pairsOf(data)) this.#put(assigner.windowFromData(window), assigner.windowFromData(stateWindow))
    this.#changed = false
  }

  get size(): number {
    return this.#inFlight.size
  }

  /** Whether the set differs from the data it was made of, or from the last `toData`. */
  get changed(): boolean {
    return this.#changed
  }

  windows(): W[] {
    return Array.from(this.#inFlight.values(), (entry) => entry.window)
  }

  /** The window under which the contents of `window` are kept; undefined when it is not in flight. */
  getStateWindow(window: W): W | undefined {
    return this.#inFlight.get(window.id)?.stateWindow
  }

  /**
   * Adds a window and returns the one that now stands for it: itself, or what it was merged into. `onMerge` is called
   * when windows that were in flight have changed; not when the new window lies within one of them.
   */
  addWindow(newWindow: W, onMerge: MergeFunction<W>): W {
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
    assert(this.#inFlight.delete(window.id), `window ${window.id} is retired, so it must be in flight`)
    this.#changed = true
  }

  /** Plain data for state and snapshots: pairs of window and state window. */
  toData(): readonly (readonly [unknown, unknown])[] {
    this.#changed = false
    return Array.from(this.#inFlight.values(), ({ window, stateWindow }) => [
      this.#assigner.windowToData(window),
      this.#assigner.windowToData(stateWindow),
    ])
  }

  /** Carries out one merge; returns whether the new window took part. */
  #merge(newWindow: W, toBeMerged: readonly W[], mergeResult: W, onMerge: MergeFunction<W>): boolean {
    const mergedWindows = toBeMerged.filter((window) => window.id !== newWindow.id || this.#inFlight.has(window.id))
    if (mergedWindows.length === 0) throw brokenAssigner(this.#assigner, `it merges window ${newWindow.id} with no other`)
    const [stateWindow, ...otherStateWindows] = mergedWindows.map((window) => this.#stateWindowOf(window))
    const onlyItself = mergedWindows.length === 1 && mergedWindows[0].id === mergeResult.id
    if (!onlyItself) {
      for (const window of mergedWindows) this.#inFlight.delete(window.id)
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

  #put(window: W, stateWindow: W): void {
    this.#inFlight.set(window.id, { window, stateWindow })
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
