import type { Source, SourceReader } from '../core/index.js'
import type { KeyRange } from '../ports/index.js'

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
  /** Place in the record, of one that was packed with others; else 0. */
  readonly subSequenceNumber: number
  readonly partitionKey: string
  readonly arrivalMs: number
}

/** What a producer packed into a record of the stream together with others. */
export interface PackedRecord {
  readonly data: Uint8Array
  readonly partitionKey: string
  /** Its place in the record, from 0. */
  readonly ordinal: number
}

/** How records of the stream are told that hold several, and what is in them. A position stands for all of a record. */
export interface RecordPacking {
  isPacked(data: Uint8Array): boolean
  /** In their order, without those whose keys are not of the split, if its range is known. Undefined: it stands for itself. */
  unpack(data: Uint8Array, range: KeyRange | undefined): readonly PackedRecord[] | undefined
}

/** A source that is not read by the job: whoever runs the stage is handed its records and puts them in. */
export interface RecordStreamSource<T> {
  /** Logical name of the stream. */
  readonly stream: string
  readonly deserialize: (data: Uint8Array, meta: StreamRecordMeta) => T
  readonly packing?: RecordPacking
}

/** By shape, because a job may have been built with another copy of Millrace than the stage that runs it. */
export function isRecordStreamSource(source: Source<unknown>): source is Source<unknown> & RecordStreamSource<unknown> {
  const candidate = source as Partial<RecordStreamSource<unknown>>
  return typeof candidate.stream === 'string' && typeof candidate.deserialize === 'function'
}

/** Reads nothing, wherever the source would itself: the stage puts the records in and keeps the position. */
export class FedReader implements SourceReader<never, never> {
  start(): void {}
  pollNext(): 'waiting' {
    return 'waiting'
  }
  available(): Promise<void> {
    return new Promise(() => {})
  }
  addSplits(): void {}
  notifyNoMoreSplits(): void {}
  snapshotState(): never[] {
    return []
  }
  close(): void {}
}
