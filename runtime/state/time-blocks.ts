import { encodeDelta, readDelta } from './delta-segment.js'
import { placeOfKey } from './key-groups.js'
import type { InternalKey } from './keys.js'
import { namespaceId } from './merged-rows.js'
import { addRemoved, addRow, emptyBlock } from './row-block.js'
import type { TimeIndex } from './segment-footer.js'

/** A row that is due at a time, or was and is gone. */
export interface DueRow {
  readonly time: number
  readonly key: InternalKey
  /** As data. */
  readonly namespace: unknown
  readonly removed: boolean
  /** Of the key. */
  readonly place: number
  /** Tells rows of one key and time from each other. */
  readonly id: string
}

/** The order in which rows are due. Of equal ones, which only different segments have, the newest counts. */
export function compareDue(a: DueRow, b: DueRow): number {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1
  if (a.place !== b.place) return a.place - b.place
  if (a.id !== b.id) return a.id < b.id ? -1 : 1
  return 0
}

export function dueRow(time: number, key: InternalKey, namespace: unknown, removed: boolean, maxParallelism: number): DueRow {
  return new PlacedRow(time, key, namespace, removed, placeOfKey(key, maxParallelism))
}

class PlacedRow implements DueRow {
  constructor(
    readonly time: number,
    readonly key: InternalKey,
    readonly namespace: unknown,
    readonly removed: boolean,
    readonly place: number,
  ) {}

  /** Put together when it is asked for: few rows have the time and the place of another. */
  get id(): string {
    return `${typeof this.key} ${this.key} ${namespaceId(this.namespace)}`
  }
}

/** Collects the rows of one state while its segment is written, and writes them in the order of their times. */
export class TimeBlocks {
  readonly #rows: DueRow[] = []
  readonly #overdue: DueRow[] = []

  constructor(
    readonly state: string,
    readonly maxParallelism: number,
  ) {}

  add(time: number, key: InternalKey, namespace: unknown, removed: boolean): void {
    this.#rows.push(dueRow(time, key, namespace, removed, this.maxParallelism))
  }

  /** It is due already, and nobody will ask for this time any more. */
  addOverdue(time: number, key: InternalKey, namespace: unknown): void {
    this.#overdue.push(dueRow(time, key, namespace, false, this.maxParallelism))
  }

  /** Hands each block to `write`, which returns where it begins. */
  finish(rowsInBlock: number, write: (block: Uint8Array) => { readonly from: number; readonly to: number }): TimeIndex {
    this.#rows.sort(compareDue)
    const firstTimes: number[] = []
    const lastTimes: number[] = []
    const offsets: number[] = []
    let end = 0
    for (let from = 0; from < this.#rows.length; from += rowsInBlock) {
      const rows = this.#rows.slice(from, from + rowsInBlock)
      const written = write(this.#encode(rows))
      firstTimes.push(rows[0].time)
      lastTimes.push(rows[rows.length - 1].time)
      offsets.push(written.from)
      end = written.to
    }
    const overdue = this.#overdue.length === 0 ? { from: 0, to: 0 } : write(this.#encode(this.#overdue))
    return { state: this.state, firstTimes, lastTimes, offsets: [...offsets, end], overdue }
  }

  #encode(rows: readonly DueRow[]): Uint8Array {
    const block = emptyBlock(0)
    const namespaces = new Map<string, readonly [number, unknown]>()
    for (const { time, key, namespace, removed } of rows) {
      const id = `${time} ${namespaceId(namespace)}`
      let timed = namespaces.get(id)
      if (timed === undefined) {
        timed = [time, namespace]
        namespaces.set(id, timed)
      }
      if (removed) addRemoved(block, key, timed)
      else addRow(block, key, timed, null)
    }
    return encodeDelta({ maxParallelism: this.maxParallelism, states: [{ name: this.state, kind: 'due', serde: 'structural' }] }, [block])
  }
}

/** The rows of a block, in order. Throws CHECKPOINT_CORRUPT. */
export function decodeTimeBlock(bytes: Uint8Array, name: string): DueRow[] {
  const { header, blocks } = readDelta(bytes, name)
  const rows: DueRow[] = []
  const add = (keys: readonly unknown[], namespaces: readonly unknown[], removed: boolean) => {
    keys.forEach((key, i) => {
      const [time, namespace] = namespaces[i] as [number, unknown]
      rows.push(dueRow(time, key as InternalKey, namespace, removed, header.maxParallelism))
    })
  }
  for (const { block } of blocks(0, Number.MAX_SAFE_INTEGER)) {
    add(block.keys, block.namespaces, false)
    add(block.removedKeys, block.removedNamespaces, true)
  }
  return rows.sort(compareDue)
}
