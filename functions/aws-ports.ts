import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { S3Client } from '@aws-sdk/client-s3'
import { DynamoDbCommitLog, KinesisChannel, S3BlobStore } from '../runtime/backends/aws/index.js'
import { CheckpointStore } from '../runtime/checkpoint/index.js'
import { type JobGraph, vertexOf } from '../runtime/plan/index.js'
import type { Channel, Clock } from '../runtime/ports/index.js'
import type { StagePorts } from '../runtime/task/stage-ports.js'
import type { JobEnvironment, StageEnvironment } from './stage-environment.js'

const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now() }

export type JobPorts = Pick<StagePorts, 'clock' | 'log' | 'checkpoints'>

/** Where a job's checkpoints stand in its bucket; and the parts of its commits. */
export const CHECKPOINTS_PREFIX = 'checkpoints/'
export const PARTS_PREFIX = 'log/'

export function jobPorts({ table, bucket, job, revision }: JobEnvironment, s3 = new S3Client()): JobPorts {
  const prefix = `${CHECKPOINTS_PREFIX}${job}/${revision}/`
  const options = { root: `s3://${bucket}/${prefix.slice(0, -1)}`, newNonce: nonce }
  return {
    clock,
    log: new DynamoDbCommitLog(new DynamoDBClient(), table),
    checkpoints: new CheckpointStore(new S3BlobStore(s3, bucket, prefix), options),
  }
}

export function stagePorts(environment: StageEnvironment, graph: JobGraph): StagePorts {
  const s3 = new S3Client()
  const kinesis = new KinesisClient()
  const channels = new Map<string, Channel>()
  for (const [stage, stream] of Object.entries(environment.streams)) {
    channels.set(stage, new KinesisChannel(kinesis, stream, vertexOf(graph, stage).parallelism))
  }
  return {
    ...jobPorts(environment, s3),
    parts: new S3BlobStore(s3, environment.bucket, PARTS_PREFIX),
    channel: (stage) => channels.get(stage) as Channel,
    random: () => Math.random(),
    nonce,
    pause: async (ms) => {
      await pause(ms)
    },
  }
}

function nonce(): string {
  return randomUUID().replaceAll('-', '')
}
