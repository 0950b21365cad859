import type { StreamRecord } from '../task/record-stream-source.js'
import type { MappedShard } from './mapped-stream.js'

/** Where a mapping begins to read a shard. */
export type MappingStart = 'TRIM_HORIZON' | 'LATEST' | { readonly atTimestampMs: number }

/** Up to where a mapping has a shard's acknowledgement, and the way it came, so that it can go back some of it. */
export class MappedPosition {
  /** Of the last record that was acknowledged, or of the last one before the beginning. */
  after: bigint | undefined
  /** Until a record as young as this is met, records are skipped; undefined: none are any more. */
  #skipBeforeMs: number | undefined
  /** The furthest that it can go back to. */
  #floor: bigint | undefined
  /** Positions acknowledged since the floor, ascending. */
  readonly #passed: bigint[] = []

  constructor(shard: MappedShard, start: MappingStart) {
    if (start === 'LATEST') this.after = shard.read(undefined, Number.MAX_SAFE_INTEGER).at(-1)?.position
    else if (start !== 'TRIM_HORIZON') this.#skipBeforeMs = start.atTimestampMs
    this.#floor = this.after
  }

  /** Up to `limit` records that are not acknowledged. */
  read(shard: MappedShard, limit: number): readonly StreamRecord[] {
    for (;;) {
      const records = shard.read(this.after, limit)
      if (this.#skipBeforeMs === undefined || records.length === 0) return records
      this.#skip(records, this.#skipBeforeMs)
    }
  }

  /** Acknowledges records; those that were acknowledged before change nothing. */
  advance(records: readonly StreamRecord[], reachBack: number): void {
    for (const { position } of records) {
      if (this.after !== undefined && position <= this.after) continue
      this.after = position
      this.#passed.push(position)
    }
    // Not each time, for a list is cut in time proportional to its length.
    if (this.#passed.length > 2 * reachBack) this.#floor = this.#passed.splice(0, this.#passed.length - reachBack).at(-1)
  }

  /** How many records it can go back. */
  get reach(): number {
    return this.#passed.length
  }

  /** Forgets that the last `records` were acknowledged. */
  goBack(records: number): void {
    this.#passed.length -= records
    this.after = this.#passed.at(-1) ?? this.#floor
  }

  #skip(records: readonly StreamRecord[], beforeMs: number): void {
    const first = records.findIndex(({ arrivalMs }) => arrivalMs >= beforeMs)
    if (first !== -1) this.#skipBeforeMs = undefined
    const last = first === -1 ? records.at(-1) : records[first - 1]
    if (last !== undefined) this.after = last.position
    this.#floor = this.after
  }
}
