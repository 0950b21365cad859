import { NO_TIMESTAMP, type SinkElementContext, type SinkRecord } from '../core/index.js'

/** What one commit has for one sink, column by column. */
export interface SinkBatch {
  readonly values: readonly unknown[]
  readonly timestamps: readonly number[]
  readonly watermarks: readonly number[]
}

export function elementContext({ timestamps, watermarks }: SinkBatch, at: number): SinkElementContext {
  return { timestamp: timestamps[at] === NO_TIMESTAMP ? null : timestamps[at], currentWatermark: watermarks[at] }
}

export function sinkRecords(batch: SinkBatch): readonly SinkRecord<unknown>[] {
  return batch.values.map((value, at) => ({ value, ...elementContext(batch, at) }))
}

export function joinedBatches(first: SinkBatch, second: SinkBatch): SinkBatch {
  return {
    values: [...first.values, ...second.values],
    timestamps: [...first.timestamps, ...second.timestamps],
    watermarks: [...first.watermarks, ...second.watermarks],
  }
}
