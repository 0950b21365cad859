import { assert } from '../../core/index.js'
import type { Channel, ChannelEntry, SourceStreams, SplitInfo } from '../../ports/index.js'

/** A record as the stream holds it; the stage takes it as it is. */
export interface MemoryRecord {
  readonly position: bigint
  readonly data: Uint8Array
  readonly partitionKey: string
  /** Epoch ms. */
  readonly arrivalMs: number
}

/**
 * Positions begin where they soon get another digit, cannot be told apart as numbers of JavaScript, and have gaps, so that who compares them
 * as text or as numbers, or counts on the next one, is found out.
 */
const FIRST_POSITION = 10n ** 18n - 7n
const STEP = 3n

interface MemorySplit {
  readonly parents: readonly string[]
  readonly records: MemoryRecord[]
  /** Of the next record. */
  position: bigint
  closed: boolean
}

/** A stream in memory: splits with records in order. A stage's own stream has one for each subtask, named by its index. */
export class MemoryStream {
  readonly #splits = new Map<string, MemorySplit>()

  constructor(splitIds: readonly string[]) {
    for (const splitId of splitIds) this.#add(splitId, [])
  }

  /** Parents before children. */
  splits(): SplitInfo[] {
    return Array.from(this.#splits, ([splitId, { parents, closed }]) => ({
      splitId,
      parents: parents.filter((parent) => this.#splits.has(parent)),
      closed,
    }))
  }

  /** All records of the split, as they are kept: the list grows with the split. */
  records(splitId: string): readonly MemoryRecord[] {
    return this.#split(splitId).records
  }

  /** Adds a record, whose position it gives. The data is copied. */
  put(
    splitId: string,
    data: Uint8Array,
    { partitionKey = '', arrivalMs = 0 }: Partial<Pick<MemoryRecord, 'partitionKey' | 'arrivalMs'>> = {},
  ): bigint {
    const split = this.#split(splitId)
    assert(!split.closed, `split ${splitId} is closed`)
    const { position } = split
    split.records.push({ position, data: data.slice(), partitionKey, arrivalMs })
    split.position += STEP
    return position
  }

  /** Nothing follows in the split. */
  close(splitId: string): void {
    this.#split(splitId).closed = true
  }

  /** Closes splits and opens others that continue them: one parent and two children, or two and one, or any other number. */
  reshard(parents: readonly string[], children: readonly string[]): void {
    for (const parent of parents) this.close(parent)
    for (const child of children) this.#add(child, parents)
  }

  /** The split is older than the stream's retention: no longer known. */
  forget(splitId: string): void {
    this.#split(splitId)
    this.#splits.delete(splitId)
  }

  /** Whether the split is closed and holds nothing after `position`. One that was forgotten is. */
  drained(splitId: string, position: bigint | undefined): boolean {
    const split = this.#splits.get(splitId)
    if (split === undefined) return true
    const last = split.records.at(-1)
    return split.closed && (last === undefined || (position !== undefined && last.position <= position))
  }

  #add(splitId: string, parents: readonly string[]): void {
    assert(!this.#splits.has(splitId), `there is a split ${splitId} already`)
    this.#splits.set(splitId, { parents, records: [], position: FIRST_POSITION, closed: false })
  }

  #split(splitId: string): MemorySplit {
    const split = this.#splits.get(splitId)
    assert(split !== undefined, `there is no split ${splitId}`)
    return split
  }
}

/** Streams by name: those outside by their logical name, those between stages by whatever names them. */
export class MemoryStreams {
  readonly #streams = new Map<string, MemoryStream>()

  create(name: string, splitIds: readonly string[]): MemoryStream {
    assert(!this.#streams.has(name), `there is a stream ${name} already`)
    const stream = new MemoryStream(splitIds)
    this.#streams.set(name, stream)
    return stream
  }

  /** A stage's: its splits are the indexes of its subtasks. */
  createForStage(name: string, subtasks: number): MemoryStream {
    return this.create(
      name,
      Array.from({ length: subtasks }, (_, index) => String(index)),
    )
  }

  stream(name: string): MemoryStream {
    const stream = this.#streams.get(name)
    assert(stream !== undefined, `there is no stream ${name}`)
    return stream
  }

  has(name: string): boolean {
    return this.#streams.has(name)
  }
}

/** A stage's stream as a channel: the split of an index is that subtask's. Takes every entry. */
export class MemoryChannel implements Channel {
  readonly #stream: MemoryStream
  readonly #now: () => number

  /** `now`: epoch ms, when records arrive. */
  constructor(stream: MemoryStream, options: { readonly now?: () => number } = {}) {
    this.#stream = stream
    this.#now = options.now ?? (() => 0)
  }

  async send(entries: readonly ChannelEntry[]): Promise<readonly ChannelEntry[]> {
    const arrivalMs = this.#now()
    for (const { to, bytes } of entries) {
      const splitId = String(to)
      this.#stream.put(splitId, bytes, { partitionKey: splitId, arrivalMs })
    }
    return []
  }
}

export class MemorySourceStreams implements SourceStreams {
  constructor(readonly streams: MemoryStreams) {}

  async splits(stream: string): Promise<readonly SplitInfo[]> {
    return this.streams.stream(stream).splits()
  }

  async drained(stream: string, splitId: string, position: bigint | undefined): Promise<boolean> {
    return this.streams.stream(stream).drained(splitId, position)
  }
}
