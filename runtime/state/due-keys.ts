import { firstPlaceOf } from './key-groups.js'
import type { KeyLoader, RemoteSegment } from './key-loader.js'
import type { InternalKey } from './keys.js'
import type { TimeIndex } from './segment-footer.js'
import { compareDue, type DueRow, decodeTimeBlock } from './time-blocks.js'

/** What of a queue's rows is not in memory. */
export interface Beyond {
  /** All rows that are due earlier are in memory; of those that are due just then some may not be. */
  readonly loadedTo: number
  /** No row that is not in memory is due before; Infinity when there is none. */
  readonly nextTime: number
  /** Whether a row that is not in memory may be due up to `to`. */
  mayHave(to: number): boolean
}

/** Keys with rows of one state that are due at a time, in the order of these times, over the segments and the tail of a {@link KeyLoader}. */
export class DueKeys implements Beyond {
  loadedTo = Number.NEGATIVE_INFINITY
  readonly #sources: readonly Source[]
  /** Segments whose overdue rows have not been looked at. */
  #unread: RemoteSegment[]
  #overdue: InternalKey[] = []

  constructor(
    readonly state: string,
    readonly loader: KeyLoader,
    /** Rows of segments that were due up to here are gone: what was due has fired. */
    firedTo: number,
    /** Whether the key's rows are in memory. */
    readonly isLoaded: (key: InternalKey) => boolean,
  ) {
    const indexes = loader.segments.flatMap((segment) => {
      const index = segment.footer.times.find((times) => times.state === state)
      return index === undefined ? [] : [{ segment, index }]
    })
    this.#unread = indexes.filter(({ index: { overdue } }) => overdue.to > overdue.from).map(({ segment }) => segment)
    const tail = loader.tail.dueRows(state, loader.maxParallelism).filter(({ removed, time }) => !removed || time > firedTo)
    this.#sources = [...indexes.map(({ segment, index }) => new BlockSource(segment, index, firedTo)), new ListSource(tail.sort(compareDue))]
  }

  get nextTime(): number {
    if (this.#unread.length + this.#overdue.length > 0) return Number.NEGATIVE_INFINITY
    return Math.min(...this.#sources.map(({ nextTime }) => nextTime))
  }

  /** Also at the end of time. */
  mayHave(to: number): boolean {
    if (this.#unread.length + this.#overdue.length > 0) return true
    return this.#sources.some(({ isOver, nextTime }) => !isOver && nextTime <= to)
  }

  /** The keys that come next, at most `most` of them, of rows that are due up to `to`; whoever takes them brings their rows into memory. */
  async take(to: number, most: number): Promise<InternalKey[]> {
    const keys = new Set<InternalKey>()
    await this.#readOverdue()
    for (let key = this.#overdue.pop(); key !== undefined; key = this.#overdue.pop()) {
      if (!this.isLoaded(key)) keys.add(key)
      if (keys.size >= most) return [...keys]
    }
    for (let row = await this.#next(to, keys); row !== undefined; row = await this.#next(to, keys)) {
      keys.add(row.key)
      this.loadedTo = Math.max(this.loadedTo, row.time)
      if (keys.size >= most) return [...keys]
    }
    this.loadedTo = Math.max(this.loadedTo, to)
    return [...keys]
  }

  /** Finds the next row that counts, so that `nextTime` is the time of one that is there. */
  async look(): Promise<void> {
    await this.#readOverdue()
    this.#overdue = this.#overdue.filter((key) => !this.isLoaded(key))
    await this.#next(Number.POSITIVE_INFINITY, new Set(), true)
  }

  async #readOverdue(): Promise<void> {
    const unread = this.#unread
    this.#unread = []
    for (const { footer, keyGroups, name, read } of unread) {
      const { overdue } = footer.times.find(({ state }) => state === this.state) as TimeIndex
      const rows = decodeTimeBlock(await read(overdue), name).filter(within(keyGroups))
      this.#overdue.push(...rows.map(({ key }) => key))
    }
  }

  #emptyTo(to: number): readonly Source[] {
    return this.#sources.filter(({ isEmpty, nextTime }) => isEmpty && nextTime <= to)
  }

  /** The next row that is due up to `to`, is not gone, and whose key is neither in memory nor among `keys`. It is passed, unless `stay`. */
  async #next(to: number, keys: ReadonlySet<InternalKey>, stay = false): Promise<DueRow | undefined> {
    for (;;) {
      for (let empty = this.#emptyTo(to); empty.length > 0; empty = this.#emptyTo(to)) await Promise.all(empty.map((source) => source.fill()))
      let least: DueRow | undefined
      for (const { head } of this.#sources) if (head !== undefined && (least === undefined || compareDue(head, least) < 0)) least = head
      if (least === undefined || least.time > to) return undefined
      const same = this.#sources.filter(({ head }) => head !== undefined && compareDue(head, least) === 0)
      const newest = same[same.length - 1].head as DueRow
      const counts = !newest.removed && !this.isLoaded(newest.key) && !keys.has(newest.key)
      if (counts && stay) return newest
      for (const source of same) source.pass()
      if (counts) return newest
    }
  }
}

/** Rows of one segment, or of the tail, in the order in which they are due. */
interface Source {
  /** Rows are to be read before there is a head. */
  readonly isEmpty: boolean
  readonly head: DueRow | undefined
  /** No row comes any more. */
  readonly isOver: boolean
  /** No row comes before. */
  readonly nextTime: number
  pass(): void
  fill(): Promise<void>
}

class ListSource implements Source {
  #at = 0

  constructor(readonly rows: readonly DueRow[]) {}

  get isEmpty(): boolean {
    return false
  }
  get isOver(): boolean {
    return this.head === undefined
  }
  get head(): DueRow | undefined {
    return this.rows[this.#at]
  }
  get nextTime(): number {
    return this.head?.time ?? Number.POSITIVE_INFINITY
  }
  pass(): void {
    this.#at++
  }
  async fill(): Promise<void> {}
}

class BlockSource implements Source {
  #rows: readonly DueRow[] = []
  #at = 0
  #block: number

  constructor(
    readonly segment: RemoteSegment,
    readonly index: TimeIndex,
    readonly firedTo: number,
  ) {
    this.#block = index.lastTimes.findIndex((time) => time > firedTo)
    if (this.#block < 0) this.#block = index.lastTimes.length
  }

  get isEmpty(): boolean {
    return this.head === undefined && this.#block < this.index.firstTimes.length
  }
  get isOver(): boolean {
    return this.head === undefined && !this.isEmpty
  }
  get head(): DueRow | undefined {
    return this.#rows[this.#at]
  }
  get nextTime(): number {
    if (this.head !== undefined) return this.head.time
    return this.isEmpty ? Math.max(this.firedTo, this.index.firstTimes[this.#block]) : Number.POSITIVE_INFINITY
  }
  pass(): void {
    this.#at++
  }

  async fill(): Promise<void> {
    const { offsets } = this.index
    const block = this.#block++
    const bytes = await this.segment.read({ from: offsets[block], to: offsets[block + 1] })
    const counts = within(this.segment.keyGroups)
    this.#rows = decodeTimeBlock(bytes, this.segment.name).filter((row) => row.time > this.firedTo && counts(row))
    this.#at = 0
  }
}

function within({ first, last }: RemoteSegment['keyGroups']): (row: DueRow) => boolean {
  const [from, to] = [firstPlaceOf(first), firstPlaceOf(last + 1)]
  return ({ place }) => place >= from && place < to
}
