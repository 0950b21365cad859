import type { Collector, RichFunction } from '../core/index.js'
import { type Output, StreamOperator } from './stream-operator.js'

/** Base of operators around one user function: opens and closes it. */
export abstract class FunctionOperator<In, Out, F extends RichFunction> extends StreamOperator<In, Out> {
  constructor(protected readonly fn: F) {
    super()
  }

  override open(_restored: readonly unknown[]): void {
    this.fn.open?.(this.context.runtime)
  }

  override close(): void {
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
