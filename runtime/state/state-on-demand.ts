import { DueKeys } from './due-keys.js'
import type { KeyLoader, LoadedRows } from './key-loader.js'
import type { InternalKey } from './keys.js'
import { EVENT_TIMERS, IMPLIED_TIMERS_TABLE, PROCESSING_TIMERS } from './timed-rows.js'

/** Keys of which rows are due that are brought into memory together, at most. */
const MOST_DUE_KEYS = 10_000
const KEY_BYTES = 50

/**
 * Keyed state of which only those keys are in memory that were needed: before an element of a key is processed, or a row of it is due, all rows of
 * the key are loaded. From then on memory has the last word on it; the segments and the tail behind the loader stay those of the opening.
 */
export class StateOnDemand {
  /** Somebody needs all keys: the subtask is to be opened with its whole state. */
  needsAll = false
  readonly #loaded = new Set<InternalKey>()
  #windows: DueKeys | undefined
  #eventTimers: DueKeys | undefined
  readonly processingTimers: DueKeys

  /** `processedTo`: all timers of the clock up to here have fired. */
  constructor(
    readonly loader: KeyLoader,
    readonly install: (rows: LoadedRows) => void,
    processedTo: number,
  ) {
    this.processingTimers = new DueKeys(PROCESSING_TIMERS, loader, processedTo, (key) => this.has(key))
  }

  /** The operator has been told how far event time had come: what was due has fired. */
  beginAt(watermark: number): void {
    this.#windows = new DueKeys(IMPLIED_TIMERS_TABLE, this.loader, watermark, (key) => this.has(key))
    this.#eventTimers = new DueKeys(EVENT_TIMERS, this.loader, watermark, (key) => this.has(key))
  }

  get windows(): DueKeys | undefined {
    return this.#windows
  }

  get eventTimers(): DueKeys | undefined {
    return this.#eventTimers
  }

  has(key: InternalKey): boolean {
    return this.#loaded.has(key)
  }

  /** What it takes to know which keys are there, and large values, about. */
  get memoryBytes(): number {
    return this.#loaded.size * KEY_BYTES + this.loader.loadedBytes
  }

  async load(keys: Iterable<InternalKey>): Promise<void> {
    const missing = [...new Set(keys)].filter((key) => !this.has(key))
    for (const some of this.loader.slices(missing)) {
      const rows = await this.loader.load(some)
      for (const key of some) this.#loaded.add(key)
      this.install(rows)
    }
  }

  /** Loads keys of rows that are due up to `to`: as many as make progress possible. False when all that is due is in memory. */
  async loadDue(due: DueKeys | undefined, to: number): Promise<boolean> {
    if (due === undefined || !due.mayHave(to)) return false
    await this.load(await due.take(to, MOST_DUE_KEYS))
    return true
  }
}
