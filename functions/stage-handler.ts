import { MillraceError } from '../runtime/core/index.js'
import type { StreamRecord } from '../runtime/task/record-stream-source.js'
import { StageSubtask } from '../runtime/task/stage-subtask.js'
import { stagePorts } from './aws-ports.js'
import { deployedJob } from './deployed-job.js'
import type { BatchResponse, KinesisEvent, KinesisEventRecord } from './kinesis-event.js'
import { readStageEnvironment, type StageEnvironment } from './stage-environment.js'

/** From the state machine of checkpoints to the functions of sources. */
export interface BarrierMessage {
  readonly barrier: { readonly checkpointId: number; readonly subtask: number }
}

export type StageHandler = (event: KinesisEvent | BarrierMessage) => Promise<BatchResponse>

/**
 * The function of a stage: a batch of a shard goes to the subtask of the shard's number. A batch that fails is reported whole, so that it
 * comes again; a barrier's message that fails throws, so that the state machine sends it again.
 */
export function stageHandler(job: unknown, variables: Readonly<Record<string, string | undefined>> = process.env): StageHandler {
  let stage: Stage | undefined
  return async (event) => {
    if (stage === undefined) stage = new Stage(job, readStageEnvironment(variables))
    if ('barrier' in event) {
      await stage.subtask(event.barrier.subtask).barrier(event.barrier.checkpointId)
      return { batchItemFailures: [] }
    }
    try {
      await stage.batch(event.Records)
      return { batchItemFailures: [] }
    } catch (error) {
      console.error(error)
      return { batchItemFailures: event.Records.slice(0, 1).map(({ kinesis }) => ({ itemIdentifier: kinesis.sequenceNumber })) }
    }
  }
}

/** The subtasks that this instance of the function has in memory. */
class Stage {
  readonly #subtasks = new Map<number, StageSubtask>()
  readonly #create: (subtask: number) => StageSubtask

  constructor(
    job: unknown,
    readonly environment: StageEnvironment,
  ) {
    const { parameters, describe } = deployedJob(job, environment)
    const ports = stagePorts(environment, describe().graph)
    // Restores are what would begin a new attempt.
    this.#create = (subtask) =>
      new StageSubtask({ deployment: environment, describe, stage: environment.stage, subtask, attempt: 0, parameters, ports })
  }

  async batch(records: readonly KinesisEventRecord[]): Promise<void> {
    if (records.length === 0) return
    const shard = shardOf(records[0])
    for (const record of records) {
      if (streamOf(record) !== this.environment.stream) throw otherStream(record, this.environment)
      if (shardOf(record) !== shard) throw new MillraceError('BATCH_REFUSED', { what: 'a batch has records of two shards', where: shard })
    }
    await this.subtask(subtaskOf(shard)).batch(records.map(streamRecord), shard)
  }

  subtask(index: number): StageSubtask {
    let subtask = this.#subtasks.get(index)
    if (subtask === undefined) {
      subtask = this.#create(index)
      this.#subtasks.set(index, subtask)
    }
    return subtask
  }
}

function streamRecord({ kinesis }: KinesisEventRecord): StreamRecord {
  return {
    position: BigInt(kinesis.sequenceNumber),
    data: Buffer.from(kinesis.data, 'base64'),
    partitionKey: kinesis.partitionKey,
    arrivalMs: Math.round(kinesis.approximateArrivalTimestamp * 1_000),
  }
}

function shardOf({ eventID }: KinesisEventRecord): string {
  return eventID.slice(0, eventID.indexOf(':'))
}

function streamOf({ eventSourceARN }: KinesisEventRecord): string {
  return eventSourceARN.slice(eventSourceARN.indexOf('/') + 1)
}

/** The shards of a new stream are numbered in the order of their slices of the hash space. */
function subtaskOf(shard: string): number {
  const number = /^shardId-(\d+)$/.exec(shard)?.[1]
  if (number !== undefined) return Number(number)
  throw new MillraceError('BATCH_REFUSED', {
    what: `"${shard}" is no shard`,
    todo: 'Let only the event source mapping of its Kinesis stream call the function.',
  })
}

function otherStream(record: KinesisEventRecord, { stage, stream }: StageEnvironment): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: `a batch of stream "${streamOf(record)}" came to stage "${stage}", whose stream is "${stream}"`,
    todo: 'Remove the event source mapping that is not of this deployment.',
  })
}
