import { type KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import type { Channel, ChannelEntry } from '../../ports/index.js'
import { awsCall } from './aws-call.js'

const HASH_SPACE = 1n << 128n
const MOST_RECORDS = 500
/** Of a request, with the partition keys. */
const MOST_BYTES = 5 * 1024 * 1024

/**
 * A stage's stream as a channel: shard i of a stream with as many shards as the stage has subtasks is subtask i's.
 * PutRecords keeps no order among the records of a request, and may take some and refuse others, so a request has one record for each shard
 * at most, and behind a refused one nothing goes to its shard.
 */
export class KinesisChannel implements Channel {
  constructor(
    readonly client: KinesisClient,
    readonly streamName: string,
    readonly subtasks: number,
  ) {}

  async send(entries: readonly ChannelEntry[]): Promise<readonly ChannelEntry[]> {
    const refused = new Set<number>()
    const failed: ChannelEntry[] = []
    let left = entries
    while (left.length > 0) {
      const { request, rest } = this.#nextRequest(left)
      const sendable = request.filter(({ to }) => !refused.has(to))
      failed.push(...request.filter(({ to }) => refused.has(to)))
      for (const entry of sendable.length === 0 ? [] : await this.#put(sendable)) {
        refused.add(entry.to)
        failed.push(entry)
      }
      left = rest
    }
    return failed
  }

  /** The first entry of each shard, within the limits of a request. */
  #nextRequest(entries: readonly ChannelEntry[]): { readonly request: readonly ChannelEntry[]; readonly rest: readonly ChannelEntry[] } {
    const seen = new Set<number>()
    const request: ChannelEntry[] = []
    const rest: ChannelEntry[] = []
    let bytes = 0
    for (const entry of entries) {
      const size = entry.bytes.length + String(entry.to).length
      const fits = request.length === 0 || (request.length < MOST_RECORDS && bytes + size <= MOST_BYTES)
      if (seen.has(entry.to) || !fits) {
        rest.push(entry)
      } else {
        request.push(entry)
        bytes += size
      }
      // Also for one that did not fit: those behind it must not overtake it.
      seen.add(entry.to)
    }
    return { request, rest }
  }

  async #put(entries: readonly ChannelEntry[]): Promise<ChannelEntry[]> {
    const command = new PutRecordsCommand({
      StreamName: this.streamName,
      Records: entries.map(({ to, bytes }) => ({ Data: bytes, PartitionKey: String(to), ExplicitHashKey: hashKeyOf(to, this.subtasks) })),
    })
    const { Records = [] } = await awsCall('PutRecords', `stream ${this.streamName}`, () => this.client.send(command))
    return entries.filter((_, index) => Records[index]?.ErrorCode !== undefined || Records[index]?.SequenceNumber === undefined)
  }
}

/** The middle of the subtask's slice of the hash space: Kinesis divides it evenly among the shards of a new stream. */
export function hashKeyOf(subtask: number, subtasks: number): string {
  return String(((2n * BigInt(subtask) + 1n) * HASH_SPACE) / (2n * BigInt(subtasks)))
}
