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
}

/**
 * Counts records and adds up the hashes of their canonical strings, modulo 2^53, whatever their order. At the end of
 * input each writer puts its totals into its counters `outputs` and `hash`; they are part of checkpoints before.
 */
export function hashSink<T>(canonical: (value: T) => string): Sink<T, never, Totals> {
  return {
    name: 'hash-sink',
    createWriter: (context, restored) => new HashSinkWriter(canonical, context, restored),
  }
}

class HashSinkWriter<T> implements SinkWriter<T, never, Totals> {
  readonly #canonical: (value: T) => string
  readonly #outputsCounter: Counter
  readonly #hashCounter: Counter
  #outputs = 0
  #hash = 0

  constructor(canonical: (value: T) => string, context: SinkWriterContext, restored: readonly Totals[]) {
    this.#canonical = canonical
    this.#outputsCounter = context.runtime.metrics.counter(OUTPUTS_COUNTER)
    this.#hashCounter = context.runtime.metrics.counter(HASH_COUNTER)
    for (const totals of restored) this.#add(totals.outputs, totals.hash)
  }

  write(value: T): void {
    this.#add(1, fnv1a(this.#canonical(value)))
  }

  prepareCommit(_checkpointId: number, endOfInput: boolean): readonly never[] {
    if (endOfInput) {
      this.#outputsCounter.inc(this.#outputs)
      this.#hashCounter.inc(this.#hash)
      this.#outputs = 0
      this.#hash = 0
    }
    return []
  }

  snapshotState(): readonly Totals[] {
    return [{ outputs: this.#outputs, hash: this.#hash }]
  }

  close(): void {}

  #add(outputs: number, hash: number): void {
    this.#outputs += outputs
    this.#hash = addHashes(this.#hash, hash)
  }
}
