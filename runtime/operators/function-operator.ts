import type { Collector, RichFunction } from '../core/index.js'
import { type FunctionState, namedChanges, openFunction } from './function-state.js'
import { type Output, StreamOperator } from './stream-operator.js'

/** Base of operators around one user function: opens and closes it, and keeps its operator state. */
export abstract class FunctionOperator<In, Out, F extends RichFunction> extends StreamOperator<In, Out> {
  #state: FunctionState | undefined

  constructor(protected readonly fn: F) {
    super()
  }

  override open(restored: readonly unknown[]): void {
    this.#state = openFunction(this.fn, this.context, restored)
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return this.#state?.snapshot(checkpointId) ?? []
  }

  override takeStateChanges(checkpointId: number): unknown {
    return namedChanges(this.#state?.takeChanges(checkpointId) ?? [])
  }

  override close(): void {
    this.sweep?.close()
    this.fn.close?.()
  }
}

/** A collector that gives every result one timestamp, as the record that caused it has. */
export class TimestampedCollector<T> implements Collector<T> {
  timestamp = Number.NEGATIVE_INFINITY
  constructor(readonly output: Output<T>) {}

  collect(value: T): void {
    this.output.collect(value, this.timestamp)
  }
}
