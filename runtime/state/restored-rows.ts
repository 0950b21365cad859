import type { InternalKey } from './keys.js'
import { MergedRows } from './merged-rows.js'
import { emptyBlock } from './row-block.js'
import type { RowBlock, StateInfo } from './segment.js'

/** Rows of one state while segments are replayed, as they were written: nobody may have asked for the state yet. */
export class RestoredRows {
  readonly #rows = new MergedRows(true)

  /** As the state was declared when the first of its rows was written. */
  constructor(readonly info: StateInfo) {}

  /** `info` is that of the block's segment. */
  apply(block: RowBlock, info: StateInfo): void {
    this.#rows.apply(block, info)
  }

  get size(): number {
    return this.#rows.size
  }

  /** Rows of other keys. */
  add(others: RestoredRows): void {
    others.each((key, namespace, value, info) => {
      this.apply({ ...emptyBlock(0), keys: [key], namespaces: [namespace], values: [value] }, info)
    })
  }

  each(visit: (key: InternalKey, namespace: unknown, value: unknown, info: StateInfo) => void): void {
    this.#rows.each({ put: visit, remove: () => {}, change: () => {} })
  }
}
