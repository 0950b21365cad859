import type { Window } from '../core/index.js'
import { keyGroupOf } from './key-groups.js'
import type { NamespaceCodec } from './keyed-state-backend.js'
import type { InternalKey } from './keys.js'
import { addChange, addRemoved, addRow, emptyBlock } from './row-block.js'
import type { RowBlock } from './segment.js'
import type { Namespace } from './state-table.js'

/** Namespaces as data, one object for each, so that a segment holds it once however many rows are under it. */
export class NamespaceData {
  readonly #windows = new Map<Namespace, unknown>([[null, null]])
  readonly #timers = new Map<Namespace, Map<number, unknown>>()
  constructor(readonly codec: NamespaceCodec | undefined) {}

  of(namespace: Namespace): unknown {
    let data = this.#windows.get(namespace)
    if (data === undefined) {
      data = (this.codec as NamespaceCodec).toData(namespace as Window)
      this.#windows.set(namespace, data)
    }
    return data
  }

  /** A timer stands under its time and its namespace. */
  ofTimer(time: number, namespace: Namespace): unknown {
    let times = this.#timers.get(namespace)
    if (times === undefined) {
      times = new Map()
      this.#timers.set(namespace, times)
    }
    let data = times.get(time)
    if (data === undefined) {
      data = [time, this.of(namespace)]
      times.set(time, data)
    }
    return data
  }
}

/** Sorts rows into key groups for a segment; with a `maxParallelism` of 1 all stand together. */
export class Groups {
  readonly blocks = new Map<number, RowBlock[]>()
  rows = 0
  constructor(readonly maxParallelism: number) {}

  put(state: number, key: InternalKey, namespace: unknown, value: unknown): void {
    addRow(this.#block(state, key), key, namespace, value)
    this.rows++
  }

  remove(state: number, key: InternalKey, namespace: unknown): void {
    addRemoved(this.#block(state, key), key, namespace)
    this.rows++
  }

  change(state: number, key: InternalKey, namespace: unknown, change: unknown): void {
    addChange(this.#block(state, key), key, namespace, change)
    this.rows++
  }

  #block(state: number, key: InternalKey): RowBlock {
    const keyGroup = this.maxParallelism === 1 ? 0 : keyGroupOf(key, this.maxParallelism)
    let blocks = this.blocks.get(keyGroup)
    if (blocks === undefined) {
      blocks = []
      this.blocks.set(keyGroup, blocks)
    }
    let block = blocks.at(-1)
    if (block === undefined || block.state !== state) {
      block = emptyBlock(state)
      blocks.push(block)
    }
    return block
  }
}
