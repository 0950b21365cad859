import { MillraceError, type ReaderContext, type ReaderOutput, type ReadStatus, type SourceReader } from '../../core/index.js'
import type { KeyRange } from '../../ports/index.js'
import { loadClient } from '../base/aws-client.js'
import { OpenedOnce } from '../base/opened-once.js'
import { Signal } from '../base/signal.js'
import type { KinesisReads, ReadRecord, ShardInfo } from './kinesis-reads.js'
import type { KinesisSourceSettings } from './kinesis-source.js'
import type { KinesisSplit, ShardEnded } from './kinesis-split.js'
import { ShardFetch } from './shard-fetch.js'

const RECORDS_PER_POLL = 500

interface OpenShard {
  readonly split: KinesisSplit
  fetch: ShardFetch | undefined
  keyRange: KeyRange | undefined
  /** Sequence number of the last record that was emitted. */
  position: string | null
}

/**
 * Reads the shards that one subtask was given, and keeps those that have ended: a checkpoint says of which shards all has been read. It touches
 * nothing outside before it was given a shard.
 */
export class KinesisReader<T> implements SourceReader<T, KinesisSplit> {
  readonly #signal = new Signal()
  readonly #open = new Map<string, OpenShard>()
  readonly #ended = new Map<string, KinesisSplit>()
  /** Ended shards whose watermark is to hold nobody back any more. */
  readonly #releasing: string[] = []
  readonly #reads: OpenedOnce<KinesisReads>
  #listing: Promise<readonly ShardInfo[]> | undefined
  #closed = false

  constructor(
    readonly settings: KinesisSourceSettings<T>,
    readonly context: ReaderContext,
  ) {
    this.#reads = new OpenedOnce(async () => {
      const { KinesisReads } = await loadClient(() => import('./kinesis-reads.js'))
      return KinesisReads.open(context.runtime.physicalName(settings.stream))
    })
  }

  start(): void {
    this.context.requestSplit()
  }

  /** An ended shard comes when it is to be kept, and again when those that continue it have begun. */
  addSplits(splits: readonly KinesisSplit[]): void {
    for (const split of splits) {
      if (!split.ended) {
        const shard: OpenShard = { split, fetch: undefined, keyRange: undefined, position: split.position }
        this.#open.set(split.splitId, shard)
        this.#fetch(shard).catch((failure) => this.#fail(failure))
      } else if (this.#ended.has(split.splitId)) {
        this.#releasing.push(split.splitId)
      } else {
        this.#ended.set(split.splitId, split)
      }
    }
    this.#signal.wake()
  }

  async #fetch(shard: OpenShard): Promise<void> {
    const { pollIntervalMs, maxRecordsPerRead, aggregatedRecords } = this.settings
    const reads = await this.#reads.get()
    if (aggregatedRecords === 'of-shard') shard.keyRange = await this.#keyRange(reads, shard.split.splitId)
    if (this.#closed) return
    shard.fetch = new ShardFetch(reads, shard.split, { pollIntervalMs, maxRecords: maxRecordsPerRead }, (failure) =>
      failure === undefined ? this.#signal.wake() : this.#fail(failure),
    )
  }

  async #keyRange(reads: KinesisReads, splitId: string): Promise<KeyRange | undefined> {
    const listing = this.#listing ?? reads.shards()
    this.#listing = listing
    const shards = await listing
    const shard = shards.find((listed) => listed.splitId === splitId)
    if (shard !== undefined || this.#listing !== listing) return shard?.keys
    // It is younger than the list.
    this.#listing = undefined
    return (await reads.shards()).find((listed) => listed.splitId === splitId)?.keys
  }

  #fail(failure: unknown): void {
    if (!this.#closed) this.#signal.fail(failure)
  }

  pollNext(out: ReaderOutput<T>): ReadStatus {
    this.#signal.check()
    for (const splitId of this.#releasing.splice(0)) out.releaseSplit(splitId)
    let left = false
    for (const shard of this.#open.values()) {
      const { fetch } = shard
      if (fetch === undefined) continue
      // A record that holds several is never divided: a checkpoint has all of it before the position, or nothing.
      for (let emitted = 0; emitted < RECORDS_PER_POLL; ) {
        const record = fetch.take()
        if (record === undefined) break
        emitted += this.#emit(record, shard, out)
        shard.position = record.sequenceNumber
      }
      left ||= !fetch.empty
      if (fetch.ended !== undefined) this.#end(shard, fetch.ended)
    }
    return left ? 'more' : 'waiting'
  }

  /** Its watermark is held until those that continue it have been assigned. */
  #end({ split: { splitId }, position }: OpenShard, successors: KinesisSplit['successors']): void {
    const ended: KinesisSplit = { splitId, position, successors, ended: true }
    this.#open.delete(splitId)
    this.#ended.set(splitId, ended)
    this.context.sendSourceEvent({ ended } satisfies ShardEnded)
  }

  #emit(record: ReadRecord, { split: { splitId }, keyRange }: OpenShard, out: ReaderOutput<T>): number {
    const { partitionKey, arrivalMs, data } = record
    const packed = this.settings.packing?.unpack(data, keyRange)
    if (packed === undefined) {
      out.collect(this.#deserialize(data, new RecordMeta(splitId, record, 0, partitionKey)), arrivalMs, splitId)
      return 1
    }
    for (const part of packed)
      out.collect(this.#deserialize(part.data, new RecordMeta(splitId, record, part.ordinal, part.partitionKey)), arrivalMs, splitId)
    return Math.max(1, packed.length)
  }

  #deserialize(data: Uint8Array, meta: RecordMeta): T {
    try {
      return this.settings.deserialize(data, meta)
    } catch (thrown) {
      throw MillraceError.from(thrown, 'RECORD_MALFORMED', {
        what: `deserialize() threw for record ${meta.position} of ${meta.splitId}`,
        where: `stream "${this.settings.stream}"`,
        todo: 'Return something for each record, such as { error }, and put it to a side output.',
      })
    }
  }

  available(): Promise<void> {
    return this.#signal.wait()
  }

  notifyNoMoreSplits(): void {}

  snapshotState(): KinesisSplit[] {
    const open = [...this.#open.values()].map(({ split, position }) => (position === split.position ? split : reached(split.splitId, position)))
    return [...open, ...this.#ended.values()]
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const { fetch } of this.#open.values()) fetch?.close()
    await this.#reads.close()
  }
}

function reached(splitId: string, position: string | null): KinesisSplit {
  return { splitId, position, successors: [], ended: false }
}

/** The sequence number becomes a number only for who asks: that takes as long as a short record's parsing. */
class RecordMeta {
  readonly arrivalMs: number
  readonly #sequenceNumber: string

  constructor(
    readonly splitId: string,
    { sequenceNumber, arrivalMs }: ReadRecord,
    readonly subSequenceNumber: number,
    readonly partitionKey: string,
  ) {
    this.#sequenceNumber = sequenceNumber
    this.arrivalMs = arrivalMs
  }

  get position(): bigint {
    return BigInt(this.#sequenceNumber)
  }
}
