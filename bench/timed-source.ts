import type { ReaderContext, Source, SourceReader, SourceSplit } from 'millrace'

/** Gauge of each reader: when its first poll began, ms since the epoch with fractions; NaN before. */
export const FIRST_POLL_GAUGE = 'firstPollAtMs'

/** Milliseconds since the epoch with fractions, comparable between threads. */
export function preciseNow(): number {
  return performance.timeOrigin + performance.now()
}

/** The same source, with a gauge that tells when each reader was first asked for records: not later than its first record. */
export function timedSource<T, Split extends SourceSplit, State>(source: Source<T, Split, State>): Source<T, Split, State> {
  return {
    name: source.name,
    boundedness: source.boundedness,
    createEnumerator: (context, restored) => source.createEnumerator(context, restored),
    createReader: (context) => timedReader(source.createReader(context), context),
  }
}

function timedReader<T, Split>(reader: SourceReader<T, Split>, context: ReaderContext): SourceReader<T, Split> {
  let firstPollAtMs = Number.NaN
  context.runtime.metrics.gauge(FIRST_POLL_GAUGE, () => firstPollAtMs)
  return {
    start: () => reader.start(),
    pollNext: (out) => {
      if (Number.isNaN(firstPollAtMs)) firstPollAtMs = preciseNow()
      return reader.pollNext(out)
    },
    available: () => reader.available(),
    addSplits: (splits) => reader.addSplits(splits),
    notifyNoMoreSplits: () => reader.notifyNoMoreSplits(),
    snapshotState: () => reader.snapshotState(),
    notifyCheckpointComplete: (checkpointId) => reader.notifyCheckpointComplete?.(checkpointId),
    close: () => reader.close(),
  }
}
