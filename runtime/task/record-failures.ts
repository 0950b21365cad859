import { RecordBatch } from '../exchange/index.js'
import type { FrameOrigin } from './input-channels.js'
import type { PackedRecord, StreamRecord } from './record-stream-source.js'
import type { DeadLetter, StageEvent } from './stage-ports.js'

/** A record that a function threw for, by where it stood. */
export interface FailedRecord {
  /** Names the record; the same after a cold start. */
  readonly id: string
  readonly record: unknown
  /** It is this record; else it is one of a batch. */
  readonly precise: boolean
}

/** A record of the stream outside, or one that was packed into it. */
export type ReadRecord = StreamRecord & Partial<PackedRecord>

/** What is told of it when it goes to the dead letters. */
export type Failure = Pick<DeadLetter, 'error' | 'uid' | 'key'>

export interface FailuresPlace {
  readonly stage: string
  readonly subtask: string
  count(event: StageEvent): void
  /** Processing time, epoch ms. */
  now(): number
}

/** What is being processed, so that whoever catches an error knows whose it is; and the records that failed before, which go to the dead letters. */
export class RecordFailures {
  /** Records that failed before, with the error; and batches to be taken record by record, to find the one that fails. */
  skips: ReadonlyMap<string, Failure> = new Map()
  #batch: FailedRecord | undefined
  #record: ReadRecord | undefined
  #letters: DeadLetter[] = []

  constructor(readonly place: FailuresPlace) {}

  /** The record (or, unless `precise`, the batch) that is being processed. */
  get processing(): FailedRecord | undefined {
    return this.#record === undefined ? this.#batch : { id: this.#idOf(this.#record), record: this.#record.data, precise: true }
  }

  /** Whether a record of the frame has failed before. */
  isSuspect(channel: string, seq: number): boolean {
    if (this.skips.size === 0) return false
    const prefix = `${channel} ${seq} `
    for (const id of this.skips.keys()) if (id.startsWith(prefix)) return true
    return false
  }

  /** Whether the record, or one that is packed into it, goes to the dead letters. */
  failedBefore(record: StreamRecord): boolean {
    if (this.skips.size === 0) return false
    const id = this.#idOf(record)
    if (this.skips.has(id)) return true
    for (const failed of this.skips.keys()) if (failed.startsWith(`${id}/`)) return true
    return false
  }

  /** Processes a batch of a channel, or what is left of it without the records that failed before. */
  processBatch(batch: RecordBatch, { channel, seq, element }: FrameOrigin, process: (batch: RecordBatch) => void): void {
    const id = `${channel} ${seq} ${element}`
    if (!this.skips.has(id)) {
      this.#batch = { id, record: null, precise: false }
      process(batch)
    } else {
      for (let row = 0; row < batch.size; row++) this.#processRow(`${id} ${row}`, batch, row, process)
    }
    this.#batch = undefined
  }

  #processRow(id: string, batch: RecordBatch, row: number, process: (batch: RecordBatch) => void): void {
    const failure = this.skips.get(id)
    const record = batch.values[row]
    if (failure !== undefined) {
      this.#bury(id, failure, record, null)
      return
    }
    this.#batch = { id, record, precise: true }
    process(RecordBatch.of([record], [batch.timestamps[row]]))
  }

  /** Processes a record of the stream outside, unless it has failed before. */
  processRecord(record: ReadRecord, process: () => void): void {
    // Its name is not made for nothing: a long position as text takes as long as a short record's parsing.
    const failure = this.skips.size === 0 ? undefined : this.skips.get(this.#idOf(record))
    if (failure !== undefined) {
      this.#bury(this.#idOf(record), failure, record.data, record.partitionKey)
      return
    }
    this.#record = record
    process()
    this.#record = undefined
  }

  #bury(where: string, failure: Failure, record: unknown, partitionKey: string | null): void {
    const { stage, subtask } = this.place
    this.place.count('dead-letter')
    this.#letters.push({ stage, subtask, where, ...failure, partitionKey, atMs: this.place.now(), record })
  }

  #idOf({ position, ordinal }: ReadRecord): string {
    return `${this.place.subtask} ${position}${ordinal === undefined ? '' : `/${ordinal}`}`
  }

  takeLetters(): DeadLetter[] {
    const letters = this.#letters
    this.#letters = []
    return letters
  }
}
