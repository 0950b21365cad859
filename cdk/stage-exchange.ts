import { Duration, Names, RemovalPolicy } from 'aws-cdk-lib'
import { type IStream, type IStreamConsumer, Stream, StreamConsumer, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import type { Construct } from 'constructs'
import { acknowledge } from './acknowledge.js'

/** Pokes are hints: one that was not taken within this time is given up, and the tick comes anyway. */
const POKE_RETENTION = Duration.hours(1)

export interface StageExchangeProps {
  readonly revision: string
  readonly parallelism: number
  /** The stream that feeds the stage from outside; a stage that reads from other stages gets one of its own. */
  readonly source: IStream | undefined
  readonly retention: Duration
  readonly enhancedFanOut: boolean
  /** Of the stage's function. */
  readonly timeout: Duration
  readonly encryptionKey: IKey | undefined
}

/** How batches and pokes come to a stage. */
export interface StageExchange {
  readonly stream: IStream
  /** The stream between stages; a source's is its owner's. */
  readonly frames: Stream | undefined
  readonly consumer: IStreamConsumer | undefined
  readonly pokes: Queue
}

/** Frames and pokes belong to one revision: what another has sent is none of its business. */
export function createExchange(scope: Construct, props: StageExchangeProps): StageExchange {
  const { source, revision } = props
  const frames = source === undefined ? createFrames(scope, props) : undefined
  const stream = source ?? (frames as Stream)
  return {
    stream,
    frames,
    consumer: props.enhancedFanOut ? createConsumer(scope, stream, revision, source !== undefined) : undefined,
    pokes: createPokes(scope, props),
  }
}

/** One shard a subtask: provisioned, since a shard that is split would have two. */
function createFrames(scope: Construct, { revision, parallelism, retention, encryptionKey }: StageExchangeProps): Stream {
  const frames = new Stream(scope, `Frames${revision}`, {
    streamMode: StreamMode.PROVISIONED,
    shardCount: parallelism,
    retentionPeriod: retention,
    ...(encryptionKey === undefined ? { encryption: StreamEncryption.MANAGED } : { encryption: StreamEncryption.KMS, encryptionKey }),
    removalPolicy: RemovalPolicy.DESTROY,
  })
  if (encryptionKey !== undefined) acknowledge(frames, 'KDS3', '`encryptionKey` of StreamJob asks for this key.')
  return frames
}

/** A source's consumer outlives revisions, as its mapping does. */
function createConsumer(scope: Construct, stream: IStream, revision: string, isSource: boolean): StreamConsumer {
  const id = isSource ? 'Consumer' : `Consumer${revision}`
  return new StreamConsumer(scope, id, {
    stream,
    streamConsumerName: `${Names.uniqueResourceName(scope, { maxLength: 100 })}${isSource ? '' : `-${revision}`}`,
  })
}

function createPokes(scope: Construct, { revision, timeout, encryptionKey }: StageExchangeProps): Queue {
  const queue = new Queue(scope, `Pokes${revision}`, {
    ...(encryptionKey === undefined
      ? { encryption: QueueEncryption.SQS_MANAGED }
      : { encryption: QueueEncryption.KMS, encryptionMasterKey: encryptionKey }),
    enforceSSL: true,
    retentionPeriod: POKE_RETENTION,
    // As Lambda asks for.
    visibilityTimeout: Duration.seconds(6 * timeout.toSeconds()),
    removalPolicy: RemovalPolicy.DESTROY,
  })
  acknowledge(queue, 'SQS3', 'A poke is a hint that loses nothing when it is lost: a dead-letter queue of hints would only cost.')
  return queue
}
