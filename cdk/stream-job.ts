import { rmSync } from 'node:fs'
import { CfnOutput, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib'
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb'
import { Effect, PolicyStatement } from 'aws-cdk-lib/aws-iam'
import { Stream, StreamEncryption, StreamMode } from 'aws-cdk-lib/aws-kinesis'
import { Architecture, Code, Function as LambdaFunction, Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { KinesisEventSource } from 'aws-cdk-lib/aws-lambda-event-sources'
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
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
const PREFIXES = ['log/*', 'checkpoints/*']

/**
 * A job on AWS: for each stage a stream with one shard a subtask and a function that takes its batches; one table for the commit logs, one
 * bucket for what is large, a state machine for checkpoints. A source's stream is made here too, and its name is an output.
 */
export class StreamJob extends Construct {
  readonly plan: DeploymentPlan
  readonly table: Table
  readonly bucket: Bucket
  /** By stage. */
  readonly streams: ReadonlyMap<string, Stream>
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
    this.streams = new Map(this.plan.graph.vertices.map((stage) => [stage.id, this.#createStream(stage)]))
    this.functions = new Map(this.plan.graph.vertices.map((stage) => [stage.id, this.#createStage(stage)]))
    this.checkpoints = this.#createCheckpoints()
  }

  #bundle(entry: string): string {
    const folder = bundleFunctions(entry)
    // By then the assembly has its copy, unless the app was told to refer to assets where they are.
    const staged = this.node.tryGetContext('aws:cdk:disable-asset-staging') === undefined
    if (staged) process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  /** One item a commit, and one a checkpoint and its acknowledgements: pk = log, sk = version. */
  #createTable(): Table {
    return new Table(this, 'Table', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
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

  /** A source's stream outlives revisions; frames between stages belong to one. */
  #createStream(stage: VertexPlan): Stream {
    const source = this.plan.sourceStreams[stage.id]
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

  #createStage(stage: VertexPlan): LambdaFunction {
    const { graph } = this.plan
    const receivers = [...new Set(graph.edges.filter(({ from }) => from === stage.id).map(({ to }) => to))]
    const own = this.streams.get(stage.id) as Stream
    const writesTo = new Map(receivers.map((to) => [to, this.streams.get(to) as Stream]))
    const created = this.#createFunction(constructId(stage), 'index.stage', {
      MILLRACE_STAGE: stage.id,
      MILLRACE_STREAM: own.streamName,
      MILLRACE_STREAMS: Stack.of(this).toJsonString(Object.fromEntries([...writesTo].map(([to, stream]) => [to, stream.streamName]))),
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
    this.#grantLogs(created, [`${this.#logs}/${stage.id}/*`, `${this.#logs}/#checkpoints/*`])
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

  #createCheckpoints(): StateMachine {
    const steps = this.#createFunction('Checkpoint', 'index.checkpoint', {})
    this.#grantLogs(steps, [`${this.#logs}/#checkpoints`, `${this.#logs}/#checkpoints/*`])
    steps.addToRolePolicy(allow(['s3:GetObject', 's3:PutObject'], [this.bucket.arnForObjects('checkpoints/*')]))
    // Without it S3 says of an object that is not there that access to it is denied.
    steps.addToRolePolicy(allow(['s3:ListBucket'], [this.bucket.bucketArn]))
    const sources = this.plan.graph.vertices.filter(({ operators }) => operators[0].isSource)
    return createCheckpointMachine(
      this,
      'Checkpoints',
      steps,
      sources.map(({ id }) => this.functions.get(id) as LambdaFunction),
    )
  }

  #createFunction(id: string, handler: string, environment: Record<string, string>): LambdaFunction {
    const { parameters, parallelism, revision, memoryMb } = this.#props
    return new LambdaFunction(this, `${id}Function`, {
      runtime: Runtime.NODEJS_22_X,
      architecture: Architecture.ARM_64,
      handler,
      code: this.#code,
      memorySize: memoryMb,
      timeout: Duration.minutes(1),
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
        ...environment,
      },
    })
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
