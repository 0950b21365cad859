import { MillraceError, type Sink, type SinkWriterContext } from '../../core/index.js'
import { loadClient } from '../base/aws-client.js'
import { OpenedOnce } from '../base/opened-once.js'
import { SendingWriter } from '../base/sending-writer.js'
import { type OutgoingRecord, sizeOf } from './outgoing-record.js'

/** Options of {@link kinesisSink}. */
export interface KinesisSinkOptions<T> {
  /** Logical name of the stream: what it is called, a binding says (default: this). */
  readonly stream: string
  /** A record's data. Text is UTF-8. Default: JSON. */
  readonly serialize?: (value: T) => Uint8Array | string
  /** Spreads records over shards, and says which stay in order: 1 to 256 characters. */
  readonly partitionKey: (value: T) => string
  /** Names the shard in place of the partition key: a decimal number below 2^128. */
  readonly explicitHashKey?: (value: T) => string | undefined
  /**
   * `by-key` (the default): records of a partition key in their order, one of each key a request, so that a key takes some hundred records a second.
   * `none`: as fast as the stream takes them.
   */
  readonly order?: 'by-key' | 'none'
  /** Largest record with its key, bytes. Default 1 MiB; a stream may be set to take up to 10 MiB. */
  readonly maxRecordBytes?: number
  /** On AWS: `onCommit` (the default) puts what a commit has at once, `onCheckpoint` when a checkpoint with it has completed. */
  readonly delivery?: 'onCommit' | 'onCheckpoint'
}

const LARGEST_RECORD = 1024 * 1024
const LARGEST_OF_ALL = 10 * 1024 * 1024
const LONGEST_KEY = 256

/**
 * Puts a record into a Kinesis stream for each value. At least once, as Flink's: Kinesis has neither transactions nor record ids, so what is delivered again after
 * a failure is there twice. Give values an id that a repetition shares (a key and its window, the position of what it was made of), by which
 * readers drop what they have seen. Records that the stream has no room for are put again.
 *
 * Errors: RECORD_UNSERIALISABLE for records and keys beyond Kinesis's limits, AWS_CALL when the stream refuses, PACKAGE_MISSING without
 * @aws-sdk/client-kinesis.
 *
 * @example
 * counts.sinkTo(kinesisSink({ stream: 'counts', partitionKey: ({ user }) => user }))
 */
export function kinesisSink<T>(options: KinesisSinkOptions<T>): Sink<T, never> {
  const { stream, delivery = 'onCommit', order = 'by-key' } = options
  checkOptions(options)
  const streamOf = ({ runtime }: SinkWriterContext) =>
    new OpenedOnce(async () => {
      const { KinesisWrites } = await loadClient(() => import('./kinesis-writes.js'))
      return KinesisWrites.open(runtime.physicalName(stream))
    })
  return {
    name: 'kinesis-sink',
    delivery,
    resources: [{ name: stream, kind: 'stream', access: 'write' }],
    createWriter: (context) =>
      new SendingWriter(streamOf(context), { entryOf: recordOf(options), sizeOf, send: (writes, records) => writes.put(records, order) }),
  }
}

function recordOf<T>({ stream, serialize = jsonOf, partitionKey, explicitHashKey, maxRecordBytes = LARGEST_RECORD }: KinesisSinkOptions<T>) {
  const invalid = (what: string, todo: string) => new MillraceError('RECORD_UNSERIALISABLE', { what, where: `kinesisSink, stream "${stream}"`, todo })
  return (value: T): OutgoingRecord => {
    const data = serialize(value)
    const key = partitionKey(value)
    if (typeof key !== 'string' || key === '' || [...key].length > LONGEST_KEY)
      throw invalid(`a partition key is ${JSON.stringify(key)}`, 'Give 1 to 256 characters.')
    const record = {
      data: typeof data === 'string' ? new TextEncoder().encode(data) : data,
      partitionKey: key,
      explicitHashKey: explicitHashKey?.(value),
    }
    const size = sizeOf(record)
    if (size <= maxRecordBytes) return record
    throw invalid(
      `a record of ${size} bytes, with its key "${key}", is more than the ${maxRecordBytes} that Kinesis takes`,
      'Make records smaller, or set the stream to larger ones and give maxRecordBytes.',
    )
  }
}

function jsonOf(value: unknown): string {
  return JSON.stringify(value)
}

function checkOptions({ stream, partitionKey, order, delivery, maxRecordBytes = 1 }: KinesisSinkOptions<never>): void {
  const invalid = (what: string, todo: string) => new MillraceError('OPTION_INVALID', { what: `kinesisSink: ${what}`, todo })
  if (typeof stream !== 'string' || stream === '') throw invalid('it has no stream', "Name one: kinesisSink({ stream: 'alerts', … }).")
  if (typeof partitionKey !== 'function') throw invalid('it has no partitionKey', 'Give a function: partitionKey: (value) => value.user.')
  if (order !== undefined && order !== 'by-key' && order !== 'none') throw invalid(`order is ${String(order)}`, "Give 'by-key' or 'none'.")
  if (delivery !== undefined && delivery !== 'onCommit' && delivery !== 'onCheckpoint')
    throw invalid(`delivery is ${String(delivery)}`, "Give 'onCommit' or 'onCheckpoint'.")
  if (!(maxRecordBytes >= 1 && maxRecordBytes <= LARGEST_OF_ALL)) throw invalid(`maxRecordBytes is ${maxRecordBytes}`, 'Give 1 to 10,485,760.')
}
