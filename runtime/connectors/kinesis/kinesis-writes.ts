import { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import type { MillraceError } from '../../core/index.js'
import { clientSettings } from '../base/aws-client.js'
import { callFailed } from '../base/call-failed.js'
import { backOff, patiently } from '../base/patience.js'
import { type OutgoingRecord, sizeOf } from './outgoing-record.js'

/** Of a request. */
const MOST_RECORDS = 500
const MOST_BYTES = 5 * 1024 * 1024
/** Requests in which not one record was taken, before it is given up. */
const TRIES = 8

/** Puts records into one stream. */
export class KinesisWrites {
  /** Records that were refused at first, of all that were put. */
  retried = 0

  private constructor(
    readonly client: KinesisClient,
    readonly stream: string,
  ) {}

  static async open(stream: string): Promise<KinesisWrites> {
    return new KinesisWrites(new KinesisClient(await clientSettings()), stream)
  }

  close(): void {
    this.client.destroy()
  }

  /**
   * Resolves when all have been taken. `by-key`: those of one partition key in their order. PutRecords keeps none among the records of a request, so
   * a request then has one of each key at most, and behind one that was refused none of its key is sent. Throws AWS_CALL.
   */
  async put(records: readonly OutgoingRecord[], order: 'by-key' | 'none'): Promise<void> {
    const waiting = order === 'by-key' ? new KeyedQueue(records) : new PlainQueue(records)
    for (let fruitless = 0; !waiting.empty; ) {
      const request = waiting.take(MOST_RECORDS, MOST_BYTES)
      const refused = await this.#putRequest(request)
      waiting.giveBack(request, new Set(refused.map(({ record }) => record)))
      this.retried += refused.length
      fruitless = refused.length === request.length ? fruitless + 1 : 0
      if (fruitless === TRIES) throw this.#failed({ why: refused[0].why })
      if (refused.length > 0) await backOff(Math.max(1, fruitless))
    }
  }

  async #putRequest(records: readonly OutgoingRecord[]): Promise<{ readonly record: OutgoingRecord; readonly why: string }[]> {
    const command = new PutRecordsCommand({
      StreamName: this.stream,
      Records: records.map(({ data, partitionKey, explicitHashKey }) => ({
        Data: data,
        PartitionKey: partitionKey,
        ...(explicitHashKey === undefined ? {} : { ExplicitHashKey: explicitHashKey }),
      })),
    })
    const { Records = [] } = await patiently(() => this.client.send(command)).catch((thrown) => {
      throw this.#failed({ cause: thrown })
    })
    return records.flatMap((record, index) => {
      const { ErrorCode, ErrorMessage, SequenceNumber } = Records[index] ?? {}
      if (ErrorCode === undefined && SequenceNumber !== undefined) return []
      return [{ record, why: `${ErrorCode ?? 'no answer'}: ${ErrorMessage ?? ''}` }]
    })
  }

  #failed(why: { readonly cause: unknown } | { readonly why: string }): MillraceError {
    return callFailed('AWS_CALL', {
      what: 'PutRecords',
      where: `Kinesis stream "${this.stream}"`,
      ...why,
      allow: 'kinesis:PutRecords on the stream',
      todo: 'It is tried again: the batch comes again, or the job goes on from its last checkpoint. If it goes on, the stream has too few shards.',
    })
  }
}

interface Queue {
  readonly empty: boolean
  take(most: number, mostBytes: number): readonly OutgoingRecord[]
  /** `refused` of those that were taken come again, before the others. */
  giveBack(taken: readonly OutgoingRecord[], refused: ReadonlySet<OutgoingRecord>): void
}

class PlainQueue implements Queue {
  #again: OutgoingRecord[] = []
  #next = 0

  constructor(readonly records: readonly OutgoingRecord[]) {}

  get empty(): boolean {
    return this.#again.length === 0 && this.#next === this.records.length
  }

  take(most: number, mostBytes: number): readonly OutgoingRecord[] {
    const taken: OutgoingRecord[] = []
    for (let bytes = 0; taken.length < most && !this.empty; ) {
      const record = this.#again[0] ?? this.records[this.#next]
      bytes += sizeOf(record)
      if (taken.length > 0 && bytes > mostBytes) break
      taken.push(record)
      if (this.#again.length > 0) this.#again.shift()
      else this.#next++
    }
    return taken
  }

  giveBack(_taken: readonly OutgoingRecord[], refused: ReadonlySet<OutgoingRecord>): void {
    this.#again = [...refused, ...this.#again]
  }
}

/** The records of each key in a queue of their own; of each the first may be taken. */
class KeyedQueue implements Queue {
  /** What is left of each key, keys in the order in which their turn comes. */
  readonly #byKey = new Map<string, { readonly records: OutgoingRecord[]; next: number }>()

  constructor(records: readonly OutgoingRecord[]) {
    for (const record of records) {
      const queue = this.#byKey.get(record.partitionKey)
      if (queue === undefined) this.#byKey.set(record.partitionKey, { records: [record], next: 0 })
      else queue.records.push(record)
    }
  }

  get empty(): boolean {
    return this.#byKey.size === 0
  }

  take(most: number, mostBytes: number): readonly OutgoingRecord[] {
    const taken: OutgoingRecord[] = []
    let bytes = 0
    for (const { records, next } of this.#byKey.values()) {
      bytes += sizeOf(records[next])
      if (taken.length === most || (taken.length > 0 && bytes > mostBytes)) break
      taken.push(records[next])
    }
    return taken
  }

  /** A key that has had its turn waits behind the others, one that was refused is first again. */
  giveBack(taken: readonly OutgoingRecord[], refused: ReadonlySet<OutgoingRecord>): void {
    for (const record of taken) {
      if (refused.has(record)) continue
      const { partitionKey } = record
      const queue = this.#byKey.get(partitionKey)
      if (queue === undefined) continue
      this.#byKey.delete(partitionKey)
      if (++queue.next < queue.records.length) this.#byKey.set(partitionKey, queue)
    }
  }
}
