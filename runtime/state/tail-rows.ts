import type { KeyGroupRange } from './key-groups.js'
import type { InternalKey } from './keys.js'
import { MergedRows, rowsByState } from './merged-rows.js'
import { emptyBlock } from './row-block.js'
import type { DecodedSegment, RowBlock, StateInfo } from './segment.js'
import { type DueRow, dueRow } from './time-blocks.js'
import { dueTimeOf } from './timed-rows.js'

/** What was committed behind the segments of a base: for each row its last word, or what changed in it. */
export class TailRows {
  readonly #states: ReadonlyMap<string, MergedRows>

  /** `deltas`: in the order of their commits. */
  constructor(deltas: readonly DecodedSegment[], range: KeyGroupRange) {
    this.#states = rowsByState(deltas, range, () => new MergedRows(false))
  }

  knows(state: string): boolean {
    return this.#states.has(state)
  }

  /** Its rows, as blocks to be put on top of what the segments say. */
  each(key: InternalKey, visit: (block: RowBlock, info: StateInfo) => void): void {
    for (const rows of this.#states.values()) {
      rows.eachOf(key, {
        put: (_, namespace, value, info) => visit({ ...NOTHING, keys: [key], namespaces: [namespace], values: [value] }, info),
        remove: (_, namespace, info) => visit({ ...NOTHING, removedKeys: [key], removedNamespaces: [namespace] }, info),
        change: (_, namespace, change, info) => visit({ ...NOTHING, changed: { keys: [key], namespaces: [namespace], changes: [change] } }, info),
      })
    }
  }

  /** Rows of a state that are due at a time, or are gone. */
  dueRows(state: string, maxParallelism: number): DueRow[] {
    const due: DueRow[] = []
    const add = (key: InternalKey, namespace: unknown, removed: boolean) => {
      const time = dueTimeOf(state, namespace)
      if (time !== undefined) due.push(dueRow(time, key, namespace, removed, maxParallelism))
    }
    this.#states.get(state)?.each({
      put: (key, namespace) => add(key, namespace, false),
      remove: (key, namespace) => add(key, namespace, true),
      change: () => {},
    })
    return due
  }
}

const NOTHING = emptyBlock(0)
