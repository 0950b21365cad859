import { setTimeout as pause } from 'node:timers/promises'
import { MergeShardsCommand, PutRecordsCommand, type Shard, SplitShardCommand } from '@aws-sdk/client-kinesis'
import type { Job } from 'millrace'
import { type CheckpointStep, type CheckpointStepResult, checkpointHandler } from '../../functions/checkpoint-handler.js'
import { deployedControl } from '../../functions/deployed-control.js'
import { type DeploymentPlan, deploymentPlan } from '../../functions/deployment-plan.js'
import type { HandlerOptions } from '../../functions/handler-options.js'
import { revisionStepHandler } from '../../functions/revision-steps.js'
import type { InvocationContext, KinesisEvent, SqsEvent } from '../../functions/stage-event.js'
import { type StageHandler, stageHandler } from '../../functions/stage-handler.js'
import { KinesisReader } from '../../local-aws/kinesis-reader.js'
import { type AwsClients, awsClients } from '../../runtime/backends/aws/index.js'
import { EventSourceMapping, type MappedBatch, type MappingFaults, mappedStream } from '../../runtime/testing/event-source-mapping.js'
import { shardsOf } from './kinesis-shards.js'
import { createQueue, receive, remove } from './sqs.js'
import { createBucket, createStream, createTable, servers, streamActive } from './wire.js'

const DEADLINE_MS = 100_000
const LONGEST_REQUEST = 500

export interface WiredJobOptions {
  /** Of a source's stream to begin with, by its logical name; as many as subtasks are planned by default. */
  readonly shards?: Readonly<Record<string, number>>
  /** Where the functions find the services, if not on the servers. */
  readonly endpoints?: { readonly dynamodb?: string; readonly kinesis?: string; readonly s3?: string }
  /** What the mappings do to the functions. */
  readonly faults?: Partial<MappingFaults>
  readonly batchSize?: number
  /** Whether an invocation finds no instance that it could take, though there is one; never by default. */
  readonly comesCold?: () => boolean
}

interface ProducedRecord {
  readonly data: Uint8Array
  readonly partitionKey: string
  readonly hashKey?: string
}

interface Stage {
  readonly id: string
  /** Logical name of the stream outside that it reads. */
  readonly source: string | undefined
  readonly stream: KinesisReader
  readonly queue: string
  mapping: EventSourceMapping
  /** Instances of its function that do nothing just now. An invocation takes one of them, or makes another. */
  idle: StageHandler[]
}

/** A job "deployed" on the servers, with the environment that StreamJob gives its functions, which run in this process. */
export class WiredJob {
  readonly #stages = new Map<string, Stage>()
  readonly lines: string[] = []
  attempt = 0
  /** Invocations begun and ended. */
  #happened = 0
  /** Ahead of the clock: shards are listed once a second, and whoever has resharded does not wait for that. */
  #listingAheadMs = 0

  private constructor(
    readonly job: Job,
    readonly parameters: readonly string[],
    readonly parallelism: number,
    readonly plan: DeploymentPlan,
    readonly clients: AwsClients,
    readonly table: string,
    readonly bucket: string,
    readonly options: WiredJobOptions,
  ) {}

  static async deploy(job: Job, parameters: readonly string[], parallelism: number, options: WiredJobOptions = {}): Promise<WiredJob> {
    const { endpoints = {}, shards = {} } = options
    // As Lambda's functions, these find the services by the environment.
    process.env.AWS_ENDPOINT_URL_DYNAMODB = endpoints.dynamodb ?? servers.dynamodb
    process.env.AWS_ENDPOINT_URL_KINESIS = endpoints.kinesis ?? servers.kinesis
    process.env.AWS_ENDPOINT_URL_S3 = endpoints.s3 ?? servers.ministack
    process.env.AWS_ENDPOINT_URL_SQS = servers.ministack
    const clients = awsClients({ endpoints: { dynamo: servers.dynamodb, kinesis: servers.kinesis, s3: servers.ministack } })
    const plan = deploymentPlan(job, { parameters, parallelism })
    const [table, bucket] = [await createTable(clients.dynamo), await createBucket(clients.s3)]
    const wired = new WiredJob(job, parameters, parallelism, plan, clients, table, bucket, options)
    for (const { id, parallelism } of plan.graph.vertices) {
      const source = plan.sourceStreams[id]
      const name = await createStream(clients.kinesis, shards[source] ?? parallelism)
      const stream = new KinesisReader(clients.kinesis, name, { now: () => Date.now() + wired.#listingAheadMs })
      wired.#add(id, { source, stream, queue: await createQueue(30) })
    }
    return wired
  }

  #add(id: string, place: Pick<Stage, 'source' | 'stream' | 'queue'>): void {
    this.#stages.set(id, { id, idle: [], mapping: this.#map(id, place.stream), ...place })
  }

  /** A mapping from the oldest record on. A source's goes through the alias of the attempt that it was made for. */
  #map(id: string, stream: KinesisReader): EventSourceMapping {
    const { attempt } = this
    const { faults, batchSize = 300 } = this.options
    const world = { now: () => Date.now(), random: () => Math.random(), sleep: async (ms: number) => void (await pause(ms)) }
    const take = (batch: MappedBatch) => this.#takeBatch(id, batch, attempt)
    return new EventSourceMapping(mappedStream(stream), take, world, { batchSize, pollMs: Number.POSITIVE_INFINITY, retryDelayMs: 50 }, faults)
  }

  async #takeBatch(id: string, { splitId, records }: MappedBatch, attempt: number): Promise<{ failedFrom: undefined }> {
    const stage = this.#stage(id)
    const event: KinesisEvent = {
      Records: records.map(({ position, data, partitionKey, arrivalMs }) => ({
        eventID: `${splitId}:${position}`,
        eventSourceARN: `arn:aws:kinesis:eu-central-1:000000000000:stream/${stage.stream.name}`,
        kinesis: {
          approximateArrivalTimestamp: arrivalMs / 1_000,
          data: Buffer.from(data).toString('base64'),
          partitionKey,
          sequenceNumber: String(position),
        },
      })),
    }
    const alias = stage.source !== undefined ? `:attempt-${attempt}` : ''
    const failures = await this.#invoke(stage, event, { invokedFunctionArn: `arn:aws:lambda:eu-central-1:000000000000:function:${id}${alias}` })
    if (failures.length > 0) throw new Error(`a batch of stage ${id} was thrown back`)
    return { failedFrom: undefined }
  }

  async #invoke(stage: Stage, event: KinesisEvent | SqsEvent, context?: InvocationContext): Promise<readonly string[]> {
    this.#happened++
    const warm = this.options.comesCold?.() === true ? undefined : stage.idle.pop()
    const instance = warm ?? stageHandler(this.job, this.#environment(stage.id))
    const { batchItemFailures } = await instance(event, context)
    stage.idle.push(instance)
    this.#happened++
    return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier)
  }

  #environment(stage?: string): HandlerOptions {
    const { graph, job, fingerprint, sourceStreams } = this.plan
    const stages = [...this.#stages.values()]
    const streams = new Map(stages.map(({ id, stream }) => [id, stream.name]))
    const receivers = graph.edges.filter(({ from }) => from === stage).map(({ to }) => [to, streams.get(to)])
    const queues = stages.filter(({ id }) => stage === undefined || id === stage).map(({ id, queue }) => [id, queue])
    const variables: Record<string, string | undefined> = {
      MILLRACE_JOB: job,
      MILLRACE_REVISION: '1',
      MILLRACE_PLAN: fingerprint,
      MILLRACE_PARAMETERS: JSON.stringify(this.parameters),
      MILLRACE_PARALLELISM: String(this.parallelism),
      MILLRACE_TABLE: this.table,
      MILLRACE_BUCKET: this.bucket,
      MILLRACE_BINDINGS: JSON.stringify(Object.fromEntries(Object.entries(sourceStreams).map(([id, logical]) => [logical, streams.get(id)]))),
      MILLRACE_QUEUES: JSON.stringify(Object.fromEntries(queues)),
    }
    if (stage !== undefined) {
      variables.MILLRACE_STAGE = stage
      variables.MILLRACE_STREAM = streams.get(stage)
      variables.MILLRACE_STREAMS = JSON.stringify(Object.fromEntries(receivers))
    }
    return { variables, log: (line) => this.lines.push(line) }
  }

  #stage(id: string): Stage {
    return this.#stages.get(id) as Stage
  }

  get #sources(): Stage[] {
    return [...this.#stages.values()].filter(({ source }) => source !== undefined)
  }

  #source(logical?: string): Stage {
    const found = this.#sources.find(({ source }) => logical === undefined || source === logical)
    if (found === undefined) throw new Error(`no source reads ${logical}`)
    return found
  }

  async activate(): Promise<void> {
    const activated = await revisionStepHandler(this.job, this.#environment())({ step: 'activate', from: null, expected: 0, allowStateLoss: [] })
    if (activated.status !== 'activated') throw new Error(JSON.stringify(activated))
    this.attempt = activated.attempt
    for (const stage of this.#stages.values()) {
      stage.mapping = this.#map(stage.id, stage.stream)
      await stage.stream.pull()
      stage.mapping.start()
    }
  }

  /** All functions start cold, and the sources are read from their oldest records again. */
  async restore(checkpointId: number): Promise<void> {
    for (const { mapping } of this.#sources) mapping.disable()
    for (const stage of this.#stages.values()) stage.idle = []
    const { control } = deployedControl(this.job, this.#environment())
    this.attempt = (await control.activate({ from: { checkpointId, savepoint: false }, expected: this.attempt })).attempt
    for (const source of this.#sources) {
      source.mapping = this.#map(source.id, source.stream)
      source.mapping.start()
    }
  }

  control(step: CheckpointStep): Promise<CheckpointStepResult> {
    return checkpointHandler(this.job, this.#environment())(step)
  }

  /** Puts lines into the source's stream, in order. */
  async produce(texts: readonly string[]): Promise<void> {
    await this.put(texts.map((text) => ({ data: new TextEncoder().encode(text), partitionKey: text.slice(0, 20) })))
  }

  /** Puts records into a source's stream, in order. */
  async put(records: readonly ProducedRecord[], logical?: string): Promise<void> {
    const StreamName = this.#source(logical).stream.name
    for (let from = 0; from < records.length; from += LONGEST_REQUEST) {
      const Records = records
        .slice(from, from + LONGEST_REQUEST)
        .map(({ data, partitionKey, hashKey }) => ({ Data: data, PartitionKey: partitionKey, ExplicitHashKey: hashKey }))
      const answer = await this.clients.kinesis.send(new PutRecordsCommand({ StreamName, Records }))
      if (answer.FailedRecordCount !== 0) throw new Error('the server refuses records')
    }
  }

  /** Of a source's stream, closed ones too. */
  shards(logical?: string): Promise<Shard[]> {
    return shardsOf(this.clients.kinesis, this.#source(logical).stream.name)
  }

  /** Divides an open shard of a source's stream, or makes one of two. */
  async reshard(shards: readonly number[], logical?: string): Promise<void> {
    const StreamName = this.#source(logical).stream.name
    const [one, other] = shards.map((index) => `shardId-${String(index).padStart(12, '0')}`)
    if (other === undefined) {
      const { HashKeyRange } = (await this.shards(logical)).find(({ ShardId }) => ShardId === one) as Shard
      const [first, last] = [HashKeyRange?.StartingHashKey, HashKeyRange?.EndingHashKey].map((key) => BigInt(key as string))
      const NewStartingHashKey = String((first + last + 1n) / 2n)
      await this.clients.kinesis.send(new SplitShardCommand({ StreamName, ShardToSplit: one, NewStartingHashKey }))
    } else {
      await this.clients.kinesis.send(new MergeShardsCommand({ StreamName, ShardToMerge: one, AdjacentShardToMerge: other }))
    }
    await streamActive(this.clients.kinesis, StreamName)
    this.#listingAheadMs += 1_000
  }

  /** Begins a checkpoint and runs until it is complete; its id. */
  async checkpoint(): Promise<number> {
    const begun = await this.control({ step: 'begin', input: {} })
    if (begun.status !== 'begun') throw new Error(JSON.stringify(begun))
    const { checkpointId } = begun
    await this.run(async () => (await this.control({ step: 'poll', checkpointId })).status === 'completed')
    return checkpointId
  }

  /** Every record that is known to be in the streams is acknowledged. */
  get #idle(): boolean {
    return [...this.#stages.values()].every(({ mapping }) => mapping.idle)
  }

  /** Polls streams and queues, so often. */
  async poll(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await Promise.all([...this.#stages.values()].map((stage) => this.#poll(stage)))
      await pause(10)
    }
  }

  /**
   * Polls streams and queues until the job is at rest and `isDone` says so. At rest: all of them were looked at while no function ran, and nothing was
   * found. What an invocation sends is in a stream or queue when it ends, so nothing is under way then.
   */
  async run(isDone: () => boolean | Promise<boolean> = () => true): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS
    for (;;) {
      if (Date.now() > deadline) throw new Error(`the job does not get there\n${this.lines.slice(-20).join('\n')}`)
      const before = this.#happened
      const atRest = this.#idle
      await this.poll(1)
      if (atRest && this.#idle && this.#happened === before && (await isDone())) return
    }
  }

  async #poll(stage: Stage): Promise<void> {
    await stage.stream.pull()
    stage.mapping.wake()
    const messages = await receive(stage.queue)
    if (messages.length === 0) return
    const Records = messages.map(({ MessageId, Body, Attributes }) => ({ messageId: MessageId, body: Body, attributes: Attributes }))
    const failed = await this.#invoke(stage, { Records })
    for (const message of messages) if (!failed.includes(message.MessageId)) await remove(stage.queue, message)
  }
}
