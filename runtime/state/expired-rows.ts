import type { StateKind } from '../core/index.js'
import type { InternalKey } from './keys.js'
import type { StateEntry, StateTable } from './state-table.js'
import type { TimedValue, TimeToLive } from './time-to-live.js'

/** Values looked at for each access to the state, as in Flink's incremental clean-up. */
const VALUES_PER_ACCESS = 5

/** Goes round a table a little at each access and removes what has expired, so that keys nobody asks for do not stay for ever. */
export class ExpiredRows {
  #round: Iterator<void> | undefined
  /** A long list is looked at as a whole; the accesses after it make up for that. */
  #budget = 0

  constructor(
    readonly table: StateTable<unknown>,
    readonly kind: StateKind,
    readonly ttl: TimeToLive,
  ) {}

  /** Called at each access. */
  step(): void {
    this.#budget = Math.min(this.#budget + VALUES_PER_ACCESS, VALUES_PER_ACCESS)
    while (this.#budget > 0) {
      this.#round ??= this.#goRound()
      if (this.#round.next().done !== true) continue
      this.#round = undefined
      return
    }
  }

  *#goRound(): Iterator<void> {
    for (const key of this.table.keys()) {
      for (const entry of this.table.entriesOf(key)) {
        if (this.kind === 'map') yield* this.#cleanMap(entry as StateEntry<Map<InternalKey, TimedValue<unknown>>>)
        else if (this.kind === 'list') yield this.#cleanList(entry as StateEntry<TimedValue<unknown>[]>)
        else yield this.#cleanValue(entry as StateEntry<TimedValue<unknown>>)
      }
    }
  }

  #cleanValue(entry: StateEntry<TimedValue<unknown>>): void {
    this.#budget--
    if (this.ttl.expired(entry.value)) this.table.remove(entry)
  }

  #cleanList(entry: StateEntry<TimedValue<unknown>[]>): void {
    this.#budget -= entry.value.length
    const kept = entry.value.filter((timed) => !this.ttl.expired(timed))
    if (kept.length === entry.value.length) return
    entry.value = kept
    if (kept.length === 0) this.table.remove(entry)
    else this.table.touch(entry)
  }

  *#cleanMap(entry: StateEntry<Map<InternalKey, TimedValue<unknown>>>): Iterable<void> {
    const map = entry.value
    for (const [key, timed] of map) {
      this.#budget--
      if (this.ttl.expired(timed)) {
        map.delete(key)
        if (map.size === 0) this.table.remove(entry)
        else this.table.touchRemoved(entry as StateEntry<unknown>, key)
      }
      yield
    }
  }
}
