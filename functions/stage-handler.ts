import type { PokeMessage } from '../runtime/backends/aws/index.js'
import { MillraceError } from '../runtime/core/index.js'
import { guardKeys, type KeyTypesByUid, vertexOf } from '../runtime/plan/index.js'
import type { StreamRecord } from '../runtime/task/record-stream-source.js'
import { hasSource } from '../runtime/task/stage-names.js'
import { type StageCall, StageSubtask } from '../runtime/task/stage-subtask.js'
import { type JobPorts, stagePorts } from './aws-ports.js'
import { deployedJob } from './deployed-job.js'
import { logError } from './function-log.js'
import type { HandlerOptions } from './handler-options.js'
import { readPlan } from './recorded-plans.js'
import { readStageEnvironment, type StageEnvironment } from './stage-environment.js'
import {
  attemptOf,
  type BatchResponse,
  type InvocationContext,
  isKinesisEvent,
  type KinesisEvent,
  type KinesisEventRecord,
  type SqsEvent,
  type SqsEventRecord,
} from './stage-event.js'
import { type HandlerEvent, StageMetrics } from './stage-metrics.js'
import { WarmSubtasks } from './warm-subtasks.js'

export type StageHandler = (event: KinesisEvent | SqsEvent, context?: InvocationContext) => Promise<BatchResponse>

/**
 * The function of a stage. A batch of a source's shard goes to the subtask of the shard's name, one of another stage's to the subtask of the
 * shard's number; a batch that fails is reported whole, so that it comes again. A message pokes a subtask.
 */
export function stageHandler(job: unknown, options: HandlerOptions = {}): StageHandler {
  let stage: Stage | undefined
  return async (event, context) => {
    if (stage === undefined) stage = new Stage(job, readStageEnvironment(options.variables ?? process.env), options)
    try {
      if (isKinesisEvent(event)) return { batchItemFailures: await stage.batch(event.Records, attemptOf(context)) }
      return { batchItemFailures: await stage.messages(event.Records as readonly SqsEventRecord[]) }
    } finally {
      stage.metrics.flush()
    }
  }
}

/** Of what keyed state may take: merging takes four times the bytes of what is merged, or up to ten times where that is timers. */
const COMPACTION_SHARE = 1 / 2

/** What this instance of the function has of its stage. */
class Stage {
  readonly metrics: StageMetrics
  readonly #subtasks: WarmSubtasks<StageSubtask>
  readonly #pokes: JobPorts['pokes']
  readonly #isSource: boolean
  /** Of operators that begin with state of a revision before. Undefined: not read yet. */
  #keyTypes: KeyTypesByUid | undefined
  readonly #readKeyTypes: () => Promise<KeyTypesByUid>

  constructor(
    job: unknown,
    readonly environment: StageEnvironment,
    { send, log }: HandlerOptions,
  ) {
    const { stage, failingRecords, stateMemoryBytes } = environment
    const { parameters, describe } = deployedJob(job, environment)
    const { graph } = describe()
    this.metrics = new StageMetrics({ job: environment.job, stage }, log)
    const ports = stagePorts(environment, graph, { metrics: this.metrics, send })
    this.#pokes = ports.pokes
    this.#isSource = hasSource(vertexOf(graph, stage))
    const guarded = () => guardKeys(describe(), this.#keyTypes ?? {})
    const create = (subtask: string) =>
      new StageSubtask({
        deployment: environment,
        describe: guarded,
        stage,
        subtask,
        parameters,
        ports,
        settings: { failingRecords, stateMemoryBytes, compactionBytes: stateMemoryBytes * COMPACTION_SHARE },
      })
    this.#subtasks = new WarmSubtasks(create, stateMemoryBytes)
    const undeclared = vertexOf(graph, stage).operators.filter(({ keyed, keyTypes }) => keyed && keyTypes === undefined)
    this.#readKeyTypes = async () => (await readPlan(ports, environment.job, environment.revision))?.keyTypes ?? {}
    if (undeclared.length === 0) this.#keyTypes = {}
  }

  /** What must come again: the batch from its first record on, or nothing. */
  async batch(records: readonly KinesisEventRecord[], attempt: number | undefined): Promise<BatchResponse['batchItemFailures']> {
    try {
      const shard = this.#shardOf(records)
      this.#keyTypes ??= await this.#readKeyTypes()
      const call: StageCall = { kind: 'batch', records: records.map(streamRecord), ...(attempt === undefined ? {} : { attempt }) }
      await this.#subtasks.use(this.#isSource ? shard : numberOf(shard), (subtask) => subtask.invoke(call))
      return []
    } catch (error) {
      this.#failed('batch-failed', error)
      return records.slice(0, 1).map(({ kinesis }) => ({ itemIdentifier: kinesis.sequenceNumber }))
    }
  }

  /** What must come again. Of several messages for one subtask one is enough. */
  async messages(records: readonly SqsEventRecord[]): Promise<BatchResponse['batchItemFailures']> {
    const failures: { itemIdentifier: string }[] = []
    const poked = new Set<string>()
    // A poke that has come before is one for which more may be left to do.
    for (const { messageId, body, times } of records.map(received).sort((a, b) => b.times - a.times)) {
      try {
        const target = await this.#pokes.arrived(JSON.parse(body) as PokeMessage)
        if (target === undefined || poked.has(target.subtask)) continue
        this.#keyTypes ??= await this.#readKeyTypes()
        await this.#subtasks.use(target.subtask, (subtask) => subtask.invoke({ kind: 'poke', again: times > 1 }))
        poked.add(target.subtask)
      } catch (error) {
        this.#failed('poke-failed', error)
        failures.push({ itemIdentifier: messageId })
      }
    }
    return failures
  }

  #failed(event: HandlerEvent, error: unknown): void {
    this.metrics.count(error instanceof MillraceError && error.code === 'BATCH_REFUSED' ? 'batch-refused' : event)
    logError(error, { Job: this.environment.job, Stage: this.environment.stage }, this.metrics.write)
  }

  #shardOf(records: readonly KinesisEventRecord[]): string {
    const shard = shardOf(records[0])
    for (const record of records) {
      if (streamOf(record) !== this.environment.stream) throw otherStream(record, this.environment)
      if (shardOf(record) !== shard) throw new MillraceError('BATCH_REFUSED', { what: 'a batch has records of two shards', where: shard })
    }
    return shard
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

/** Of `arn:…:stream/NAME`, or of a consumer's `arn:…:stream/NAME/consumer/…`. */
function streamOf({ eventSourceARN }: KinesisEventRecord): string {
  return eventSourceARN.split('/')[1] ?? ''
}

/** The shards of a new stream are numbered in the order of their slices of the hash space. */
function numberOf(shard: string): string {
  const number = /^shardId-(\d+)$/.exec(shard)?.[1]
  if (number !== undefined) return String(Number(number))
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

function received({ messageId, body, attributes }: SqsEventRecord) {
  return { messageId, body, times: Number(attributes.ApproximateReceiveCount) }
}
