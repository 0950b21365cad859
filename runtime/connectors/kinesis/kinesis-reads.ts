import { setTimeout as pause } from 'node:timers/promises'
import { GetRecordsCommand, type GetRecordsCommandOutput, GetShardIteratorCommand, KinesisClient } from '@aws-sdk/client-kinesis'
import { isAwsError } from '../../backends/aws/aws-call.js'
import { keyRangeOf, listShards, splitsOf } from '../../backends/aws/kinesis-shards.js'
import type { KeyRange, SplitInfo } from '../../ports/index.js'
import { clientSettings } from '../base/aws-client.js'
import { callFailed } from '../base/call-failed.js'
import { patiently } from '../base/patience.js'
import type { KinesisSplit } from './kinesis-split.js'

export interface ShardInfo extends SplitInfo {
  readonly keys: KeyRange | undefined
}

export interface ReadRecord {
  readonly sequenceNumber: string
  readonly data: Uint8Array
  readonly partitionKey: string
  /** Epoch ms. */
  readonly arrivalMs: number
}

export interface ReadPage {
  readonly records: readonly ReadRecord[]
  /** Undefined: the shard has been read to its end. */
  readonly next: string | undefined
}

/** Reads a Kinesis stream. A call that is throttled, or that the service or the network fails, is made again, with pauses; then SOURCE_FAILED. */
export class KinesisReads {
  readonly #closing = new AbortController()

  private constructor(
    readonly client: KinesisClient,
    readonly stream: string,
  ) {}

  static async open(stream: string): Promise<KinesisReads> {
    return new KinesisReads(new KinesisClient(await clientSettings()), stream)
  }

  /** In the order of their numbers: parents before children. */
  async shards(): Promise<readonly ShardInfo[]> {
    const shards = await listShards(this.stream, (command) => this.#patiently('ListShards', undefined, () => this.client.send(command, this.#abort)))
    return splitsOf(shards).map((split, index) => ({ ...split, keys: keyRangeOf(shards[index]) }))
  }

  async iterator({ splitId, position, sinceMs }: Pick<KinesisSplit, 'splitId' | 'position' | 'sinceMs'>): Promise<string> {
    const input = { StreamName: this.stream, ShardId: splitId }
    const get = (from: object, type: 'AFTER_SEQUENCE_NUMBER' | 'AT_TIMESTAMP' | 'TRIM_HORIZON' | 'LATEST') =>
      this.#patiently('GetShardIterator', splitId, async () => {
        const command = new GetShardIteratorCommand({ ...input, ...from, ShardIteratorType: type })
        return (await this.client.send(command, this.#abort)).ShardIterator as string
      })
    if (position !== null) return get({ StartingSequenceNumber: position }, 'AFTER_SEQUENCE_NUMBER')
    if (sinceMs === undefined) return get({}, 'TRIM_HORIZON')
    try {
      return await get({ Timestamp: new Date(sinceMs) }, 'AT_TIMESTAMP')
    } catch (thrown) {
      // Kinesis takes no time that is still to come by its own clock.
      if (!isAwsError((thrown as Partial<Error>).cause, 'InvalidArgumentException')) throw thrown
      return get({}, 'LATEST')
    }
  }

  /** `expired`: the iterator was kept for longer than five minutes. */
  async read(iterator: string, splitId: string, limit: number): Promise<ReadPage | 'expired'> {
    const command = new GetRecordsCommand({ ShardIterator: iterator, Limit: limit })
    try {
      const page: GetRecordsCommandOutput = await this.#patiently('GetRecords', splitId, () => this.client.send(command, this.#abort))
      return {
        records: (page.Records ?? []).map((record) => ({
          sequenceNumber: record.SequenceNumber as string,
          data: record.Data as Uint8Array,
          partitionKey: record.PartitionKey as string,
          arrivalMs: record.ApproximateArrivalTimestamp?.getTime() ?? 0,
        })),
        next: page.NextShardIterator,
      }
    } catch (thrown) {
      if (isAwsError((thrown as Partial<Error>).cause, 'ExpiredIteratorException')) return 'expired'
      throw thrown
    }
  }

  /** Rejects when this is closed meanwhile. */
  async sleep(ms: number): Promise<void> {
    await pause(ms, undefined, this.#closing)
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  close(): void {
    this.#closing.abort()
    this.client.destroy()
  }

  get #abort(): { readonly abortSignal: AbortSignal } {
    return { abortSignal: this.#closing.signal }
  }

  async #patiently<T>(what: string, shard: string | undefined, call: () => Promise<T>): Promise<T> {
    try {
      return await patiently(call, { signal: this.#closing.signal })
    } catch (cause) {
      throw callFailed('SOURCE_FAILED', {
        what,
        where: `Kinesis stream "${this.stream}"${shard === undefined ? '' : `, ${shard}`}`,
        cause,
        allow: 'kinesis:ListShards, kinesis:GetShardIterator and kinesis:GetRecords on the stream',
        todo: 'Check that the stream can be reached; the job goes on from its last checkpoint.',
      })
    }
  }
}
