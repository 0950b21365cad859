import { createHash } from 'node:crypto'
import {
  MillraceError,
  type Sink,
  type SinkElementContext,
  type SinkMarker,
  type SinkRecord,
  type SinkTransactor,
  type SinkWriterContext,
} from '../../core/index.js'
import { loadClient } from '../base/aws-client.js'
import { OpenedOnce } from '../base/opened-once.js'
import type { SinkFormat } from '../file/sink/index.js'
import type { BucketWrites, S3Committable } from './bucket-writes.js'
import { type BodySettings, ObjectBodies, type ObjectBody } from './object-bodies.js'
import { UploadCommitter, UploadWriter } from './upload-writer.js'

/** Options of {@link s3Sink}. */
export interface S3SinkOptions<T> {
  /** Logical name of the bucket: what it is called, a binding says (default: this). */
  readonly bucket: string
  /** `ndjsonFormat()`, `csvFormat({ columns })`, `textFormat(fn)` or your own. */
  readonly format: SinkFormat<T>
  /** What the name of every object begins with, such as `windows/`. Default: nothing. */
  readonly prefix?: string
  /** Folder of a value, such as `dt=2026-11-21` (what Flink calls its bucket): values of two folders never share an object. Default: none. */
  readonly folder?: (value: T, context: SinkElementContext) => string
  /** An object that has so many bytes (before compression) is finished before its checkpoint. Default 64 MiB, at most 1 GiB. */
  readonly maxObjectBytes?: number
  /** Compresses objects; `.gz` stands behind their names. */
  readonly gzip?: boolean
}

const DEFAULT_BYTES = 64 * 1024 * 1024
const MOST_BYTES = 1024 * 1024 * 1024
/** Puts on their way at once. */
const CONCURRENCY = 8

/**
 * Writes objects of values exactly once: they are seen when the checkpoint that they belong to has completed, so the interval of checkpoints says how old and how
 * large they get. On AWS values wait in the job's state and an object's name is made of who wrote it for which checkpoint, so that an object which is
 * written again is the same; in one process objects are uploaded before the checkpoint and completed behind it.
 *
 * One PUT an object ($5 a million in us-east-1), three in one process. There the bucket should have a lifecycle rule that aborts incomplete uploads
 * after some days: a failure leaves some.
 *
 * Errors: AWS_CALL when the bucket refuses, CHECKPOINT_CORRUPT when uploads that a checkpoint names are gone, PACKAGE_MISSING without @aws-sdk/client-s3.
 *
 * @example
 * counts.sinkTo(s3Sink({ bucket: 'results', prefix: 'counts/', format: ndjsonFormat(), gzip: true }))
 */
export function s3Sink<T>(options: S3SinkOptions<T>): Sink<T, S3Committable> {
  const { bucket, format, prefix = '', folder = () => '', maxObjectBytes = DEFAULT_BYTES, gzip = false } = options
  checkOptions(options, maxObjectBytes)
  const bodies: BodySettings<T> = { format, folderOf: (value, context) => checkedFolder(folder(value, context)), maxObjectBytes, gzip }
  const bucketOf = ({ runtime }: SinkWriterContext) =>
    new OpenedOnce(async () => {
      const { BucketWrites } = await loadClient(() => import('./bucket-writes.js'))
      return BucketWrites.open(runtime.physicalName(bucket))
    })
  const extension = `${format.extension}${gzip ? '.gz' : ''}`
  const nameOf = (inFolder: string, part: string) => `${prefix}${inFolder === '' ? '' : `${inFolder}/`}part-${part}.${extension}`
  return {
    name: 's3-sink',
    delivery: 'onCheckpoint',
    resources: [{ name: bucket, kind: 'bucket', access: 'write' }],
    createWriter: (context) => new UploadWriter(new ObjectBodies(bodies), nameOf, context, bucketOf(context)),
    createCommitter: (context) => new UploadCommitter(bucketOf(context)),
    createTransactor: (context) => new ObjectTransactor(bodies, nameOf, bucketOf(context)),
  }
}

/** Objects are named by the marker, so the same commit replaces them by the same. */
class ObjectTransactor<T> implements SinkTransactor<T> {
  constructor(
    readonly bodies: BodySettings<T>,
    readonly nameOf: (folder: string, part: string) => string,
    readonly bucket: OpenedOnce<BucketWrites>,
  ) {}

  async apply(marker: SinkMarker, records: readonly SinkRecord<T>[]): Promise<void> {
    const writes = await this.bucket.get()
    const bodies = new ObjectBodies(this.bodies)
    const full: ObjectBody[] = []
    for (const record of records) {
      const body = bodies.add(record.value, record)
      if (body !== undefined) full.push(body)
    }
    const waiting = [...full, ...bodies.finish()].entries()
    const work = async () => {
      for (const [index, { folder, bytes }] of waiting) await writes.put(this.nameOf(folder, partOf(marker, index)), bytes)
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, work))
  }

  /** Whoever is late writes what is there already. */
  async fence(): Promise<void> {}

  close(): Promise<void> {
    return this.bucket.close()
  }
}

/** Checkpoint, writer and place: names sort by checkpoints, and no two writers share one. */
function partOf({ writer, version }: SinkMarker, index: number): string {
  const id = createHash('sha256').update(writer).digest('hex').slice(0, 12)
  return `${String(version).padStart(8, '0')}-${id}-${index}`
}

function checkedFolder(folder: string): string {
  if (typeof folder === 'string' && !/^\/|\/$|\/\/|\p{Cc}/u.test(folder)) return folder
  throw new MillraceError('RECORD_UNSERIALISABLE', {
    what: `a value's folder is ${JSON.stringify(folder)}`,
    where: 's3Sink',
    todo: 'Give a name such as dt=2026-11-21, or several with / between them; nothing for none.',
  })
}

function checkOptions({ bucket, format, prefix }: S3SinkOptions<never>, maxObjectBytes: number): void {
  const invalid = (what: string, todo: string) => new MillraceError('OPTION_INVALID', { what: `s3Sink: ${what}`, todo })
  if (typeof bucket !== 'string' || bucket === '') throw invalid('it has no bucket', "Name one: s3Sink({ bucket: 'results', … }).")
  if (typeof format?.encode !== 'function') throw invalid('it has no format', 'Give ndjsonFormat(), csvFormat({ columns }) or textFormat(fn).')
  if (prefix?.startsWith('/') === true) throw invalid(`prefix is "${prefix}"`, "Begin it with a name: 'counts/'.")
  if (!(Number.isInteger(maxObjectBytes) && maxObjectBytes >= 1 && maxObjectBytes <= MOST_BYTES))
    throw invalid(`maxObjectBytes is ${maxObjectBytes}`, 'Give a whole number from 1 to 1,073,741,824.')
}
