import type { KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { KinesisChannel } from '../runtime/backends/aws/index.js'
import { MemoryBlobStore, MemoryCommitLog, MemoryPokes, type MemoryStream } from '../runtime/backends/memory/index.js'
import type {
  BlobStore,
  ByteRange,
  Channel,
  CommitLog,
  ControlItem,
  LogHead,
  LogItem,
  LogRead,
  Outcome,
  Pokes,
  PokeTarget,
  SourceStreams,
} from '../runtime/ports/index.js'
import type { Meter } from './meter.js'
import { itemBytes, putUnits, readUnits, writeUnits } from './units.js'

const PAGE_BYTES = 1024 * 1024

/** Commit logs in memory, counted as DynamoDbCommitLog uses the table. */
export class CountingCommitLog implements CommitLog {
  readonly #log: MemoryCommitLog

  constructor(
    readonly meter: Meter,
    now: () => number,
  ) {
    this.#log = new MemoryCommitLog({ now })
  }

  async read(log: string, after: number): Promise<LogRead> {
    return this.meter.call(async () => {
      const read = await this.#log.read(log, after)
      this.#query(read.items.reduce((sum, item) => sum + logItemBytes(log, item), controlBytes(log, read.control)))
      return read
    })
  }

  async head(log: string): Promise<LogHead> {
    return this.meter.call(async () => {
      const head = await this.#log.head(log)
      this.#query((head.item === undefined ? 0 : logItemBytes(log, head.item)) + controlBytes(log, head.control))
      return head
    })
  }

  async append(log: string, item: LogItem): Promise<Outcome> {
    this.#put(logItemBytes(log, item))
    return this.meter.call(() => this.#log.append(log, item))
  }

  async putControl(log: string, control: ControlItem): Promise<Outcome> {
    this.#put(controlBytes(log, control))
    return this.meter.call(() => this.#log.putControl(log, control))
  }

  #query(bytes: number): void {
    this.meter.add('dynamoQueries', Math.max(1, Math.ceil(bytes / PAGE_BYTES)))
    this.meter.add('dynamoReadUnits', readUnits(bytes))
  }

  #put(bytes: number): void {
    this.meter.add('dynamoPuts')
    this.meter.add('dynamoWrittenBytes', bytes)
    this.meter.add('dynamoWriteUnits', writeUnits(bytes))
  }
}

function logItemBytes(log: string, { version, payload, expiresAtMs }: LogItem): number {
  const number = expiresAtMs === undefined ? undefined : { name: 'expiresAt', value: Math.ceil(expiresAtMs / 1_000) }
  return itemBytes({ log, sortKey: `v${String(version).padStart(16, '0')}`, payload: payload.length, number })
}

function controlBytes(log: string, control: ControlItem | undefined): number {
  if (control === undefined) return 0
  return itemBytes({ log, sortKey: 'z', payload: control.payload.length, number: { name: 'serial', value: control.serial } })
}

/** Blobs in memory, counted as objects of a bucket. */
export class CountingBlobStore implements BlobStore {
  readonly #blobs = new MemoryBlobStore()

  /** `stored`: the counter of the bytes. */
  constructor(
    readonly meter: Meter,
    readonly stored: 's3PartBytes' | 's3CheckpointBytes',
  ) {}

  async put(name: string, bytes: Uint8Array): Promise<'stored' | 'exists'> {
    this.meter.add('s3Puts')
    this.meter.add(this.stored, bytes.length)
    return this.meter.call(() => this.#blobs.put(name, bytes))
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    this.meter.add('s3Gets')
    return this.meter.call(() => this.#blobs.get(name))
  }

  async getRange(name: string, range: ByteRange): Promise<Uint8Array | undefined> {
    this.meter.add('s3Gets')
    return this.meter.call(() => this.#blobs.getRange(name, range))
  }

  async list(prefix: string): Promise<string[]> {
    this.meter.add('s3Lists')
    return this.meter.call(() => this.#blobs.list(prefix))
  }

  /** S3 bills no deletions. */
  async delete(name: string): Promise<void> {
    await this.meter.call(() => this.#blobs.delete(name))
  }
}

/** The channel that a stage's functions use, over a stream in memory: what it puts in one request is its own decision. */
export function countingChannel(meter: Meter, stream: MemoryStream, subtasks: number, now: () => number): Channel {
  const send = async ({ input: { Records = [] } }: PutRecordsCommand) => {
    meter.add('kinesisPutRecords')
    return meter.call(async () => {
      const arrivalMs = now()
      for (const { Data, PartitionKey = '' } of Records) {
        const bytes = Data as Uint8Array
        meter.add('kinesisRecords')
        meter.add('kinesisBytes', bytes.length + PartitionKey.length)
        meter.add('kinesisPutUnits', putUnits(bytes.length + PartitionKey.length))
        stream.put(PartitionKey, bytes, { partitionKey: PartitionKey, arrivalMs })
      }
      return { Records: Records.map(() => ({ SequenceNumber: '0' })) }
    })
  }
  return new KinesisChannel({ send } as unknown as KinesisClient, 'frames', subtasks)
}

/** Streams outside: what is asked about them costs nothing but the time of the call. */
export function countingStreams(meter: Meter, streams: SourceStreams): SourceStreams {
  return {
    splits: (stream) => meter.call(() => streams.splits(stream)),
    drained: (stream, splitId, position) => meter.call(() => streams.drained(stream, splitId, position)),
  }
}

/** Pokes in memory, counted as messages of a queue. */
export class CountingPokes extends MemoryPokes implements Pokes {
  constructor(readonly meter: Meter) {
    super()
  }

  override async poke(target: PokeTarget, atMs: number): Promise<void> {
    this.meter.add('sqsRequests')
    await this.meter.call(() => super.poke(target, atMs))
  }
}
