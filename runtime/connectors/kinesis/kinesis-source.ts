import { MillraceError, type Source } from '../../core/index.js'
import type { KeyRange } from '../../ports/index.js'
import { deaggregate, hashKeyOf, isAggregated } from './aggregated-record.js'
import { KinesisEnumerator, type KinesisEnumeratorState } from './kinesis-enumerator.js'
import { KinesisReader } from './kinesis-reader.js'
import type { KinesisSplit } from './kinesis-split.js'

/** What `deserialize` may know of a record beside its data. */
export interface KinesisRecordMeta {
  /** The shard. */
  readonly splitId: string
  /** The record's sequence number. */
  readonly position: bigint
  /** Place in an aggregated record, from 0; 0 for a record by itself. */
  readonly subSequenceNumber: number
  readonly partitionKey: string
  /** When Kinesis took the record, epoch ms. It is the record's timestamp until one is assigned. */
  readonly arrivalMs: number
}

/** Options of {@link kinesisSource}. */
export interface KinesisSourceOptions<T> {
  /** Logical name of the stream: what it is called, a binding says (default: this). */
  readonly stream: string
  /** Turns a record into an element, one for each. What it throws fails the batch, which then comes again. */
  readonly deserialize: (data: Uint8Array, meta: KinesisRecordMeta) => T
  /**
   * Where a job in one process begins that is not restored: with the oldest record (`trim-horizon`, the default), with those that come from now
   * on (`latest`), or from a time on (epoch ms). On AWS `startingPosition` of `StreamJob` says it.
   */
  readonly start?: 'trim-horizon' | 'latest' | { readonly timestampMs: number }
  /**
   * Records that the Kinesis Producer Library has aggregated give an element for each record in them. `of-shard` (the default) leaves out those
   * whose hash keys are not of the shard that they came in, as the Kinesis Client Library does: when a stream was resharded under it, the
   * producer has sent them again. `all` keeps them, for producers that aggregate whatever comes. `as-they-are` takes nothing apart.
   */
  readonly aggregatedRecords?: 'of-shard' | 'all' | 'as-they-are'
  /** In one process: pause after a read of a shard that gave nothing, ms. Default 250. A shard takes five reads a second in all. */
  readonly pollIntervalMs?: number
  /** In one process: most records of one read, 1 to 10,000. Default 2,000. */
  readonly maxRecordsPerRead?: number
}

/** @internal Options with their defaults. */
export interface KinesisSourceSettings<T> extends Required<Omit<KinesisSourceOptions<T>, 'start'>> {
  readonly packing:
    | {
        isPacked(data: Uint8Array): boolean
        unpack(
          data: Uint8Array,
          range: KeyRange | undefined,
        ): readonly { readonly data: Uint8Array; readonly partitionKey: string; readonly ordinal: number }[] | undefined
      }
    | undefined
}

/** A source that functions on AWS are fed by, and that reads the stream itself in one process. */
export interface KinesisSource<T> extends Source<T, KinesisSplit, KinesisEnumeratorState>, KinesisSourceOptions<T> {}

/**
 * The records of a Kinesis stream, each shard in its order, through splits and merges of shards: a shard is read when those that it continues
 * have been read to their ends. On AWS Lambda reads the stream and the job's first stage puts the records in; in one process the job reads it
 * by GetRecords, which needs the package @aws-sdk/client-kinesis, a region and credentials as any program that uses the AWS SDK.
 * Exactly once with checkpoints: a position is that of a whole record, an aggregated one is never divided.
 *
 * @example
 * env.fromSource(kinesisSource({ stream: 'access-log', deserialize: utf8Line }), WatermarkStrategy.noWatermarks())
 */
export function kinesisSource<T>(options: KinesisSourceOptions<T>): KinesisSource<T> {
  checkOptions(options)
  const { stream, deserialize, aggregatedRecords = 'of-shard', pollIntervalMs = 250, maxRecordsPerRead = 2_000, start } = options
  const packing = aggregatedRecords === 'as-they-are' ? undefined : packingOf(aggregatedRecords)
  const settings: KinesisSourceSettings<T> = { stream, deserialize, aggregatedRecords, pollIntervalMs, maxRecordsPerRead, packing }
  return {
    ...options,
    name: 'kinesis-source',
    boundedness: 'unbounded',
    resources: [{ name: stream, kind: 'stream', access: 'read' }],
    ...(packing === undefined ? {} : { packing }),
    createEnumerator: (context, restored) => new KinesisEnumerator(stream, context, restored, sinceMs(start)),
    createReader: (context) => new KinesisReader(settings, context),
  }
}

/** A record that is a line of text, without its line end. */
export function utf8Line(data: Uint8Array): string {
  return new TextDecoder().decode(data).replace(/\r?\n$/, '')
}

function sinceMs(start: KinesisSourceOptions<unknown>['start'] = 'trim-horizon'): number | undefined {
  if (start === 'trim-horizon') return undefined
  return start === 'latest' ? Date.now() : start.timestampMs
}

function packingOf(which: 'of-shard' | 'all'): NonNullable<KinesisSourceSettings<unknown>['packing']> {
  return {
    isPacked: isAggregated,
    unpack: (data, range) => {
      const parts = deaggregate(data)?.map((part, ordinal) => ({ ...part, ordinal }))
      if (parts === undefined || range === undefined || which === 'all') return parts
      return parts.filter((part) => {
        const key = hashKeyOf(part)
        return key >= range.first && key <= range.last
      })
    },
  }
}

function checkOptions({ stream, start, pollIntervalMs = 0, maxRecordsPerRead = 1 }: KinesisSourceOptions<unknown>): void {
  const invalid = (what: string, todo: string) => new MillraceError('OPTION_INVALID', { what: `kinesisSource: ${what}`, todo })
  if (typeof stream !== 'string' || stream === '') throw invalid('it has no stream', "Name one: kinesisSource({ stream: 'access-log', … }).")
  if (typeof start === 'object' && !Number.isFinite(start.timestampMs))
    throw invalid(`start.timestampMs is ${start.timestampMs}`, 'Give epoch milliseconds.')
  if (!(pollIntervalMs >= 0)) throw invalid(`pollIntervalMs is ${pollIntervalMs}`, 'Give milliseconds, 0 or more.')
  if (!(Number.isInteger(maxRecordsPerRead) && maxRecordsPerRead >= 1 && maxRecordsPerRead <= 10_000))
    throw invalid(`maxRecordsPerRead is ${maxRecordsPerRead}`, 'Give a whole number from 1 to 10,000.')
}
