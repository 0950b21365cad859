import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import {
  type AwsClients,
  awsClients,
  DynamoDbCommitLog,
  KinesisChannel,
  KinesisSourceStreams,
  S3BlobStore,
  SqsPokes,
} from '../runtime/backends/aws/index.js'
import { ZlibCompression } from '../runtime/backends/node/index.js'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import { MillraceError } from '../runtime/core/index.js'
import { type JobGraph, vertexOf } from '../runtime/plan/index.js'
import type { Channel, Clock } from '../runtime/ports/index.js'
import type { StagePorts } from '../runtime/task/stage-ports.js'
import { DeadLetterBlobs } from './dead-letter-blobs.js'
import { checkpointsPrefix, LETTERS_PREFIX, PARTS_PREFIX } from './job-prefixes.js'
import type { SendMessage } from './sqs-sender.js'
import type { JobEnvironment, StageEnvironment } from './stage-environment.js'
import type { StageMetrics } from './stage-metrics.js'

export { LETTERS_PREFIX } from './job-prefixes.js'

const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

/** What the functions do not find on AWS by themselves. */
export interface Outside {
  readonly metrics: StageMetrics
  /** Default: through SQS. */
  readonly send?: SendMessage | undefined
}

export interface JobPorts extends Pick<StagePorts, 'clock' | 'log' | 'parts' | 'checkpoints' | 'nonce' | 'random' | 'count'> {
  readonly pokes: SqsPokes
  readonly streams: KinesisSourceStreams
}

export function jobPorts(environment: JobEnvironment, outside: Outside, clients: AwsClients = awsClients()): JobPorts {
  const { table, bucket, bindings } = environment
  const prefix = checkpointsPrefix(environment)
  const options = { root: `s3://${bucket}/${prefix.slice(0, -1)}`, newNonce: nonce }
  return {
    clock,
    log: new DynamoDbCommitLog(clients.dynamo, table),
    parts: new S3BlobStore(clients.s3, bucket, PARTS_PREFIX),
    checkpoints: new CheckpointStore(new S3BlobStore(clients.s3, bucket, prefix), options),
    streams: new KinesisSourceStreams(clients.kinesis, bindings),
    pokes: pokesOf(environment, outside.send ?? throughSqs()),
    nonce,
    random: () => Math.random(),
    count: (event, times) => outside.metrics.count(event, times),
  }
}

export function stagePorts(environment: StageEnvironment, graph: JobGraph, outside: Outside): StagePorts & JobPorts {
  const clients = awsClients()
  const channels = new Map<string, Channel>()
  for (const [stage, stream] of Object.entries(environment.streams)) {
    channels.set(stage, new KinesisChannel(clients.kinesis, stream, vertexOf(graph, stage).parallelism))
  }
  return {
    ...jobPorts(environment, outside, clients),
    deadLetters: new DeadLetterBlobs(new S3BlobStore(clients.s3, environment.bucket, LETTERS_PREFIX)),
    compression: new ZlibCompression(),
    channel: (stage) => channels.get(stage) as Channel,
    pause: async (ms) => {
      await pause(ms)
    },
  }
}

function pokesOf({ queues }: JobEnvironment, send: SendMessage): SqsPokes {
  return new SqsPokes({
    now: () => clock.now(),
    send: async (stage, body, delaySeconds) => {
      const queue = queues[stage]
      if (queue === undefined) throw new MillraceError('OPTION_INVALID', { what: `nobody has said which queue is that of stage "${stage}"` })
      await send(queue, body, delaySeconds)
    },
  })
}

/** Its client is loaded when there is something to send. */
function throughSqs(): SendMessage {
  let loading: Promise<SendMessage> | undefined
  return async (...message) => {
    loading ??= import('./sqs-sender.js').then(({ sqsSender }) => sqsSender())
    return (await loading)(...message)
  }
}

function nonce(): string {
  return randomUUID().replaceAll('-', '')
}
