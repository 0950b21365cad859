import { Accumulators, type Counter, type MetricGroup } from '../core/index.js'

/** Counts of one operator of one subtask. Plain fields, because they are touched for every record. */
export class OperatorMetrics implements MetricGroup {
  recordsIn = 0
  recordsOut = 0
  /** Encoded bytes that left for other threads or stages. */
  bytesOut = 0
  bytesIn = 0
  late = 0
  /** Last watermark seen, epoch ms; -Infinity before the first. */
  watermark = Number.NEGATIVE_INFINITY
  /** Bytes of this operator's part of the last checkpoint that were written. */
  checkpointBytes = 0
  /** Live entries of keyed state. */
  stateEntries = 0
  readonly counters = new Map<string, SimpleCounter>()
  readonly gauges = new Map<string, () => number>()
  readonly accumulators = new Accumulators()

  counter(name: string): Counter {
    let counter = this.counters.get(name)
    if (counter === undefined) {
      counter = new SimpleCounter()
      this.counters.set(name, counter)
    }
    return counter
  }

  gauge(name: string, read: () => number): void {
    this.gauges.set(name, read)
  }
}

class SimpleCounter implements Counter {
  count = 0
  inc(n = 1): void {
    this.count += n
  }
}
