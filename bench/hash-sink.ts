import type { Counter, Sink, SinkWriter, SinkWriterContext } from 'millrace'
import { fnv1a } from './fnv1a.js'

export const OUTPUTS_COUNTER = 'outputs'
export const HASH_COUNTER = 'hash'

/** Counts and hashes of different writers and runs are added modulo 2^53. */
export function addHashes(a: number, b: number): number {
  // Compared before adding: a sum above 2^53 would be rounded.
  return a >= 2 ** 53 - b ? a - (2 ** 53 - b) : a + b
}

interface Totals {
  readonly outputs: number
  readonly hash: number
  /** The hash of the last record of each `lastBy`. */
  readonly last: ReadonlyMap<string | number, number>
}

export interface HashSinkOptions<T> {
  /** All records count, but only the last one of each of these goes into the hash (results whose way there depends on order). */
  readonly lastBy?: (value: T) => string | number
}

/**
 * Counts records and adds up the hashes of their canonical strings, modulo 2^53, whatever their order. At the end of
 * input each writer puts its totals into its counters `outputs` and `hash`; they are part of checkpoints before.
 */
export function hashSink<T>(canonical: (value: T) => string, options: HashSinkOptions<T> = {}): Sink<T, never, Totals> {
  return {
    name: 'hash-sink',
    createWriter: (context, restored) => new HashSinkWriter(canonical, options.lastBy, context, restored),
  }
}

class HashSinkWriter<T> implements SinkWriter<T, never, Totals> {
  readonly #canonical: (value: T) => string
  readonly #outputsCounter: Counter
  readonly #hashCounter: Counter
  readonly #lastBy: HashSinkOptions<T>['lastBy']
  readonly #last = new Map<string | number, number>()
  #outputs = 0
  #hash = 0

  constructor(canonical: (value: T) => string, lastBy: HashSinkOptions<T>['lastBy'], context: SinkWriterContext, restored: readonly Totals[]) {
    this.#canonical = canonical
    this.#lastBy = lastBy
    this.#outputsCounter = context.runtime.metrics.counter(OUTPUTS_COUNTER)
    this.#hashCounter = context.runtime.metrics.counter(HASH_COUNTER)
    for (const { outputs, hash, last } of restored) {
      this.#add(outputs, hash)
      for (const [of, lastHash] of last) this.#last.set(of, lastHash)
    }
  }

  write(value: T): void {
    const hash = fnv1a(this.#canonical(value))
    if (this.#lastBy === undefined) this.#add(1, hash)
    else {
      this.#add(1, 0)
      this.#last.set(this.#lastBy(value), hash)
    }
  }

  prepareCommit(_checkpointId: number, endOfInput: boolean): readonly never[] {
    if (endOfInput) {
      for (const hash of this.#last.values()) this.#add(0, hash)
      this.#last.clear()
      this.#outputsCounter.inc(this.#outputs)
      this.#hashCounter.inc(this.#hash)
      this.#outputs = 0
      this.#hash = 0
    }
    return []
  }

  snapshotState(): readonly Totals[] {
    return [{ outputs: this.#outputs, hash: this.#hash, last: new Map(this.#last) }]
  }

  close(): void {}

  #add(outputs: number, hash: number): void {
    this.#outputs += outputs
    this.#hash = addHashes(this.#hash, hash)
  }
}
