import { rmSync } from 'node:fs'
import { CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction as LambdaTarget } from 'aws-cdk-lib/aws-events-targets'
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Architecture, Code, Function as LambdaFunction, Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { KinesisEventSource, SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3'
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Trigger } from 'aws-cdk-lib/triggers'
import { Construct } from 'constructs'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import type { VertexPlan } from '../runtime/plan/index.js'
import { bundleFunctions, readDeploymentPlan } from './bundle-job.js'
import { createCheckpointMachine } from './checkpoint-machine.js'

export interface StreamJobProps {
  /** Path of the module that exports the job, TypeScript or JavaScript. */
  readonly entry: string
  /** Job parameters as words: `['--kinesis', 'access-log']`. */
  readonly parameters?: readonly string[]
  /** Of operators that name none. A stage has as many shards as subtasks. */
  readonly parallelism?: number
  /**
   * Names the state of the job, default '1'. A job whose plan has changed does not go on with the state it had: it needs another revision,
   * which begins without state and with new streams between stages.
   */
  readonly revision?: string
  /** Memory of each function, MB. Default 1024. */
  readonly memoryMb?: number
}

const RETENTION = Duration.days(7)
const BATCH_SIZE = 10_000
/** What functions write in the bucket (functions/aws-ports.ts). */
const PREFIXES = ['log/*', 'checkpoints/*', 'dead-letters/*']
const FUNCTION_TIMEOUT = Duration.minutes(1)
/** Pokes are hints: one that was not taken within this time is given up, and the tick comes anyway. */
const POKE_RETENTION = Duration.hours(1)
/** So often sources are poked, to find out that they are idle or have ended; and all, to keep their logs fresh. */
const SOURCE_TICK = Duration.minutes(1)
const UPKEEP_TICK = Duration.hours(1)

/**
 * A job on AWS: for each stage a stream with one shard a subtask, a queue of pokes, and a function that takes the batches of one and the
 * messages of the other; one table for the commit logs, one bucket for what is large, a state machine for checkpoints. A source's stream is
 * made here too, and its name is an output. A job that has not run yet is activated when it is deployed.
 */
export class StreamJob extends Construct {
  readonly plan: DeploymentPlan
  readonly table: Table
  readonly bucket: Bucket
  /** By stage. */
  readonly streams: ReadonlyMap<string, Stream>
  /** By stage. */
  readonly queues: ReadonlyMap<string, Queue>
  /** By stage. */
  readonly functions: ReadonlyMap<string, LambdaFunction>
  readonly checkpoints: StateMachine
  readonly #props: Required<Omit<StreamJobProps, 'parallelism'>> & Pick<StreamJobProps, 'parallelism'>
  readonly #code: Code

  /** Runs the job's function in a process of its own to learn its plan. Throws what is wrong with the job. */
  constructor(scope: Construct, id: string, props: StreamJobProps) {
    super(scope, id)
    this.#props = { parameters: [], revision: '1', memoryMb: 1024, ...props }
    const { entry, parameters, parallelism } = this.#props
    this.plan = readDeploymentPlan({ entry, parameters, parallelism })
    this.#code = Code.fromAsset(this.#bundle(entry))
    this.table = this.#createTable()
    this.bucket = this.#createBucket()
    this.streams = this.#createStreams()
    this.queues = new Map(this.plan.graph.vertices.map((stage) => [stage.id, this.#createQueue(stage)]))
    this.functions = new Map(this.plan.graph.vertices.map((stage) => [stage.id, this.#createStage(stage)]))
    const control = this.#createControl('Checkpoint', 'index.checkpoint')
    this.checkpoints = createCheckpointMachine(this, 'Checkpoints', control)
    this.#tick('SourceTick', SOURCE_TICK, control, 'sources')
    this.#tick('UpkeepTick', UPKEEP_TICK, control, 'all')
    new Trigger(this, 'Activation', { handler: this.#createControl('Activate', 'index.activate') })
  }

  #bundle(entry: string): string {
    const folder = bundleFunctions(entry)
    // By then the assembly has its copy, unless the app was told to refer to assets where they are.
    const staged = this.node.tryGetContext('aws:cdk:disable-asset-staging') === undefined
    if (staged) process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  /** One item a commit, and one an acknowledgement: pk = log, sk = version; and a control item a log. */
  #createTable(): Table {
    return new Table(this, 'Table', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      timeToLiveAttribute: 'expiresAt',
      billingMode: BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      removalPolicy: RemovalPolicy.RETAIN,
    })
  }

  #createBucket(): Bucket {
    return new Bucket(this, 'Bucket', {
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      encryption: BucketEncryption.S3_MANAGED,
      enforceSSL: true,
      // Logs refer to what is here for as long as they are kept, so no object expires by age.
      lifecycleRules: [{ abortIncompleteMultipartUploadAfter: Duration.days(1) }],
      removalPolicy: RemovalPolicy.RETAIN,
    })
  }

  /** A source's stream outlives revisions, and sources that read the same share it; frames between stages belong to one revision. */
  #createStreams(): ReadonlyMap<string, Stream> {
    const streams = new Map<string, Stream>()
    const outside = new Map<string, Stream>()
    for (const stage of this.plan.graph.vertices) {
      const source = this.plan.sourceStreams[stage.id]
      const known = source === undefined ? undefined : outside.get(source)
      const stream = known ?? this.#createStream(stage, source)
      streams.set(stage.id, stream)
      if (source !== undefined) outside.set(source, stream)
    }
    return streams
  }

  #createStream(stage: VertexPlan, source: string | undefined): Stream {
    const name = source === undefined ? `Frames${this.#props.revision}` : 'Source'
    const stream = new Stream(this, `${constructId(stage)}${name}`, {
      streamMode: StreamMode.PROVISIONED,
      shardCount: stage.parallelism,
      retentionPeriod: RETENTION,
      encryption: StreamEncryption.MANAGED,
    })
    if (source !== undefined) new CfnOutput(this, `${constructId(stage)}Stream`, { description: `The stream "${source}"`, value: stream.streamName })
    return stream
  }

  #createQueue(stage: VertexPlan): Queue {
    return new Queue(this, `${constructId(stage)}Pokes`, {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: POKE_RETENTION,
      // As Lambda asks for.
      visibilityTimeout: Duration.seconds(6 * FUNCTION_TIMEOUT.toSeconds()),
      removalPolicy: RemovalPolicy.DESTROY,
    })
  }

  #createStage(stage: VertexPlan): LambdaFunction {
    const { graph } = this.plan
    const receivers = [...new Set(graph.edges.filter(({ from }) => from === stage.id).map(({ to }) => to))]
    const own = this.#streamOf(stage.id)
    const writesTo = new Map(receivers.map((to) => [to, this.#streamOf(to)]))
    const queue = this.queues.get(stage.id) as Queue
    const created = this.#createFunction(constructId(stage), 'index.stage', new Map([[stage.id, queue]]), {
      MILLRACE_STAGE: stage.id,
      MILLRACE_STREAM: own.streamName,
      MILLRACE_STREAMS: this.#json([...writesTo].map(([to, stream]) => [to, stream.streamName])),
    })
    created.addEventSource(
      new KinesisEventSource(own, {
        startingPosition: StartingPosition.TRIM_HORIZON,
        batchSize: BATCH_SIZE,
        parallelizationFactor: 1,
        // A frame that is given up would be a gap for ever: without end, until the records expire.
        retryAttempts: -1,
        reportBatchItemFailures: true,
      }),
    )
    created.addEventSource(new SqsEventSource(queue, { batchSize: 10, reportBatchItemFailures: true }))
    queue.grantSendMessages(created)
    // In the job's own log splits of a source that appear later register, and a subtask whose stash is full gives up the checkpoint.
    this.#grantLogs(created, [`${this.#logs}/${stage.id}/*`, `${this.#logs}/#acks/*`, `${this.#logs}/#ended/*`, `${this.plan.job}/#job`])
    created.addToRolePolicy(
      allow(
        ['s3:GetObject', 's3:PutObject'],
        PREFIXES.map((prefix) => this.bucket.arnForObjects(prefix)),
      ),
    )
    const streamArns = [...writesTo.values()].map(({ streamArn }) => streamArn)
    if (streamArns.length > 0) created.addToRolePolicy(allow(['kinesis:PutRecords'], streamArns))
    return created
  }

  /** A function that decides for the job as a whole: it may write to all of the job's logs. */
  #createControl(id: string, handler: string): LambdaFunction {
    const control = this.#createFunction(id, handler, this.queues, {})
    this.#grantLogs(control, [`${this.plan.job}/*`])
    control.addToRolePolicy(
      allow(
        ['s3:GetObject', 's3:PutObject'],
        ['log/*', 'checkpoints/*'].map((prefix) => this.bucket.arnForObjects(prefix)),
      ),
    )
    // Without it S3 says of an object that is not there that access to it is denied.
    control.addToRolePolicy(allow(['s3:ListBucket'], [this.bucket.bucketArn]))
    for (const queue of this.queues.values()) queue.grantSendMessages(control)
    const sources = Object.keys(this.plan.sourceStreams).map((stage) => this.#streamOf(stage).streamArn)
    control.addToRolePolicy(allow(['kinesis:ListShards', 'kinesis:GetShardIterator', 'kinesis:GetRecords'], sources))
    return control
  }

  #tick(id: string, interval: Duration, control: LambdaFunction, subtasks: 'sources' | 'all'): void {
    const target = new LambdaTarget(control, { event: RuleTargetInput.fromObject({ step: 'tick', subtasks }), retryAttempts: 0 })
    new Rule(this, id, { schedule: Schedule.rate(interval), targets: [target] })
  }

  #createFunction(id: string, handler: string, queues: ReadonlyMap<string, Queue>, environment: Record<string, string>): LambdaFunction {
    const { parameters, parallelism, revision, memoryMb } = this.#props
    return new LambdaFunction(this, `${id}Function`, {
      runtime: Runtime.NODEJS_22_X,
      architecture: Architecture.ARM_64,
      handler,
      code: this.#code,
      memorySize: memoryMb,
      timeout: FUNCTION_TIMEOUT,
      logGroup: new LogGroup(this, `${id}Logs`, { retention: RetentionDays.ONE_MONTH, removalPolicy: RemovalPolicy.DESTROY }),
      environment: {
        NODE_OPTIONS: '--enable-source-maps',
        MILLRACE_JOB: this.plan.job,
        MILLRACE_REVISION: revision,
        MILLRACE_PLAN: this.plan.fingerprint,
        MILLRACE_PARAMETERS: JSON.stringify(parameters),
        ...(parallelism === undefined ? {} : { MILLRACE_PARALLELISM: String(parallelism) }),
        MILLRACE_TABLE: this.table.tableName,
        MILLRACE_BUCKET: this.bucket.bucketName,
        MILLRACE_BINDINGS: this.#json(Object.entries(this.plan.sourceStreams).map(([stage, stream]) => [stream, this.#streamOf(stage).streamName])),
        MILLRACE_QUEUES: this.#json([...queues].map(([stage, { queueUrl }]) => [stage, queueUrl])),
        ...environment,
      },
    })
  }

  #streamOf(stage: string): Stream {
    return this.streams.get(stage) as Stream
  }

  /** Of names that are known when it is deployed. */
  #json(entries: readonly (readonly [string, string])[]): string {
    return Stack.of(this).toJsonString(Object.fromEntries(entries))
  }

  get #logs(): string {
    return `${this.plan.job}/${this.#props.revision}`
  }

  /** Only the logs whose names match. */
  #grantLogs(grantee: LambdaFunction, names: readonly string[]): void {
    const statement = allow(['dynamodb:Query', 'dynamodb:PutItem'], [this.table.tableArn])
    statement.addCondition('ForAllValues:StringLike', { 'dynamodb:LeadingKeys': names })
    grantee.addToRolePolicy(statement)
  }
}

function allow(actions: string[], resources: string[]): PolicyStatement {
  return new PolicyStatement({ effect: Effect.ALLOW, actions, resources })
}

/** A stage's uid may hold what a construct's id may not. */
function constructId({ id }: VertexPlan): string {
  return `Stage-${id.replace(/[^A-Za-z0-9-]/g, (character) => `_${character.charCodeAt(0).toString(16)}`)}-`
}
