import type { Source } from '../core/index.js'

/** One record of a partitioned stream outside (a Kinesis shard) as it came. */
export interface StreamRecord {
  /** Where it stands in its split; later records have greater ones. */
  readonly position: bigint
  readonly data: Uint8Array
  readonly partitionKey: string
  /** When the stream took it, epoch ms. */
  readonly arrivalMs: number
}

/** What a `deserialize` function may know of a record beside its data. */
export interface StreamRecordMeta {
  readonly splitId: string
  readonly position: bigint
  readonly partitionKey: string
  readonly arrivalMs: number
}

/** A source that is not read by the job: whoever runs the stage is handed its records and puts them in. */
export interface RecordStreamSource<T> {
  /** Logical name of the stream. */
  readonly stream: string
  readonly deserialize: (data: Uint8Array, meta: StreamRecordMeta) => T
}

/** By shape, because a job may have been built with another copy of Millrace than the stage that runs it. */
export function isRecordStreamSource(source: Source<unknown>): source is Source<unknown> & RecordStreamSource<unknown> {
  const candidate = source as Partial<RecordStreamSource<unknown>>
  return typeof candidate.stream === 'string' && typeof candidate.deserialize === 'function'
}
