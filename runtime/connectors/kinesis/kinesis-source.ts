import { MillraceError, type Source, type SourceReader, type SourceSplit } from '../../core/index.js'

/** What `deserialize` may know of a record beside its data. */
export interface KinesisRecordMeta {
  /** The shard. */
  readonly splitId: string
  /** The record's sequence number. */
  readonly position: bigint
  readonly partitionKey: string
  /** When Kinesis took the record, epoch ms. It is the record's timestamp until one is assigned. */
  readonly arrivalMs: number
}

/** Options of {@link kinesisSource}. */
export interface KinesisSourceOptions<T> {
  /** Logical name of the stream: the construct that deploys the job makes a stream for it. */
  readonly stream: string
  /** Turns a record into an element, one for each. What it throws fails the batch, which then comes again. */
  readonly deserialize: (data: Uint8Array, meta: KinesisRecordMeta) => T
}

/** A split of a Kinesis source and the position it has been read to. */
export interface KinesisSplit extends SourceSplit {
  readonly position: bigint
}

/** A source that functions on AWS are fed by. */
export interface KinesisSource<T> extends Source<T, KinesisSplit, never>, KinesisSourceOptions<T> {}

/**
 * The records of a Kinesis stream, for jobs on AWS: Lambda reads the stream and the job's first stage puts the records in. In one process
 * such a job has nothing to read from and fails with PLAN_INVALID.
 *
 * @example
 * env.fromSource(kinesisSource({ stream: 'access-log', deserialize: utf8Line }), WatermarkStrategy.noWatermarks())
 */
export function kinesisSource<T>({ stream, deserialize }: KinesisSourceOptions<T>): KinesisSource<T> {
  if (stream === '')
    throw new MillraceError('OPTION_INVALID', { what: 'kinesisSource has no stream', todo: "Name one: kinesisSource({ stream: 'access-log', … })." })
  return {
    name: 'kinesis-source',
    boundedness: 'unbounded',
    resources: [{ name: stream, kind: 'stream', access: 'read' }],
    stream,
    deserialize,
    createEnumerator: () => {
      throw new MillraceError('PLAN_INVALID', {
        what: `the job reads the Kinesis stream "${stream}", which only its stages on AWS can`,
        todo: 'Deploy the job (npx cdk deploy), or give it another source to run in this process.',
      })
    },
    createReader: () => new FedReader(),
  }
}

/** A record that is a line of text, without its line end. */
export function utf8Line(data: Uint8Array): string {
  return new TextDecoder().decode(data).replace(/\r?\n$/, '')
}

/** Reads nothing: the stage puts the records in. */
class FedReader implements SourceReader<never, KinesisSplit> {
  start(): void {}
  pollNext(): 'waiting' {
    return 'waiting'
  }
  available(): Promise<void> {
    return new Promise(() => {})
  }
  addSplits(): void {}
  notifyNoMoreSplits(): void {}
  /** The stage keeps the position. */
  snapshotState(): KinesisSplit[] {
    return []
  }
  close(): void {}
}
