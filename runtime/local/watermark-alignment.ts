import type { WatermarkAlignment } from '../core/index.js'

/** The watermarks of the sources of each alignment group, and how far the furthest of them may read. */
export class WatermarkAlignments {
  readonly #groups = new Map<string, { readonly watermarks: Map<string, number>; limit: number }>()

  constructor(readonly announce: (group: string, limit: number) => void) {}

  /** A source's subtask has come to `watermark`: Infinity when it holds nobody back. */
  report({ group, maxDriftMs }: WatermarkAlignment, subtask: string, watermark: number): void {
    let state = this.#groups.get(group)
    if (state === undefined) {
      state = { watermarks: new Map(), limit: Number.POSITIVE_INFINITY }
      this.#groups.set(group, state)
    }
    state.watermarks.set(subtask, watermark)
    const limit = Math.min(...state.watermarks.values()) + maxDriftMs
    if (limit === state.limit) return
    state.limit = limit
    this.announce(group, limit)
  }
}
