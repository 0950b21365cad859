import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { CfnOutput, Duration, Stack, Token } from 'aws-cdk-lib'
import type { Table } from 'aws-cdk-lib/aws-dynamodb'
import { Code, type EventSourceMapping, type Function as LambdaFunction, type Version } from 'aws-cdk-lib/aws-lambda'
import type { Bucket } from 'aws-cdk-lib/aws-s3'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import type { VertexPlan } from '../runtime/plan/index.js'
import { type ActivatedSource, Activation } from './activation.js'
import { bundleJob, type JobBundle } from './bundle-job.js'
import { checkPlan } from './check-plan.js'
import { checkProps, checkStages } from './check-props.js'
import { createCheckpointMachine } from './checkpoint-machine.js'
import { JobBindings } from './job-bindings.js'
import { createControlFunction, createStageFunction, type JobDeployment } from './job-functions.js'
import { revisionOf } from './job-revision.js'
import { scheduleCheckpoints, scheduleTick } from './job-schedules.js'
import { type JobSettings, settingsOf, stageSettings } from './job-settings.js'
import { createBucket, createTable } from './job-storage.js'
import { parallelismInContext } from './parallelism-in-context.js'
import { readPlan } from './read-plan.js'
import { createExchange, type StageExchange } from './stage-exchange.js'
import { BATCH_SIZE, createMappings } from './stage-mappings.js'
import type { StreamJobProps } from './stream-job-props.js'

const SOURCE_TICK = Duration.minutes(1)
const UPKEEP_TICK = Duration.hours(1)

/** A stage as it stands in the stack. */
export interface DeployedStage extends StageExchange {
  readonly plan: VertexPlan
  readonly handler: LambdaFunction
  /** Runs the code of this revision. */
  readonly version: Version
  /** Of its frames and its pokes. A source's stream has a mapping that activation makes. */
  readonly mappings: readonly EventSourceMapping[]
}

/**
 * A job on AWS. For each stage a function, and between stages a Kinesis stream with a shard for each subtask; one table for the commit logs, one
 * bucket for what is large, a state machine for checkpoints. Sources and sinks are bound to streams, tables and buckets of yours.
 *
 * What the functions and the graph are made of has a revision, a hash of it. Another revision has streams and versions of its own beside the older
 * ones; when it is deployed the older one stops with a savepoint, and it goes on from there.
 *
 * @example
 * const accessLog = new Stream(this, 'AccessLog')
 * new StreamJob(this, 'IpCount', { entry: 'job.ts', bindings: { accessLog } })
 */
export class StreamJob extends Construct {
  /** The graph and what it touches. */
  readonly plan: DeploymentPlan
  /** 8 hexadecimal digits. */
  readonly revision: string
  /** Commit logs: one item a commit. */
  readonly table: Table
  /** Checkpoints, parts of commits that are large, dead letters. */
  readonly bucket: Bucket
  /** By id, in the order in which records go through them. */
  readonly stages: ReadonlyMap<string, DeployedStage>
  /** Decides for the job as a whole: checkpoints, ticks, activation, and what `millrace` on the command line asks for. */
  readonly control: LambdaFunction
  /** Makes a checkpoint; with the input `{ "kind": "savepoint" }` or `{ "kind": "stop" }` what that says. */
  readonly checkpoints: StateMachine
  readonly #settings: JobSettings
  readonly #bindings: JobBindings

  /**
   * Bundles the job and loads it in a process of its own to learn its plan. Throws what is wrong with the job or the properties: JOB_NOT_FOUND,
   * JOB_COMPILE, PLAN_INVALID, OPTION_INVALID.
   */
  constructor(scope: Construct, id: string, props: StreamJobProps) {
    super(scope, id)
    const { path } = this.node
    checkProps(path, props)
    this.#settings = settingsOf(props)
    const bundle = bundleJob(props.entry)
    this.plan = this.#readPlan(bundle)
    const rescaled = parallelismInContext(this, this.plan.job)
    if (rescaled !== undefined && rescaled !== this.#settings.parallelism) {
      this.#settings = { ...this.#settings, parallelism: rescaled }
      this.plan = this.#readPlan(bundle)
    }
    checkPlan(this.plan)
    checkStages(path, props, this.plan)
    this.#bindings = new JobBindings(path, this.plan, this.#settings.bindings)
    this.revision = this.#revisionOf(bundle)
    this.table = createTable(this, props)
    this.bucket = createBucket(this, props)
    const deployment = this.#deployment(bundle)
    this.stages = new Map(this.plan.graph.vertices.map((stage) => [stage.id, this.#deployStage(stage, deployment)]))
    this.control = createControlFunction(new Construct(this, 'ControlFunction'), deployment)
    this.checkpoints = createCheckpointMachine(this, 'Checkpoints', this.control)
    scheduleCheckpoints(this, 'CheckpointSchedule', this.#settings.checkpointInterval, this.checkpoints)
    scheduleTick(this, 'SourceTick', SOURCE_TICK, this.control, 'sources')
    scheduleTick(this, 'UpkeepTick', UPKEEP_TICK, this.control, 'all')
    this.#nameControl(scope, id)
    this.#activate()
  }

  #readPlan({ folder }: JobBundle): DeploymentPlan {
    const { entry, parameters, parallelism, environment } = this.#settings
    // What is not known yet cannot be looked at either.
    const known = Object.fromEntries(Object.entries(environment).filter(([, value]) => !Token.isUnresolved(value)))
    return readPlan({ folder, entry, parameters, parallelism, environment: known })
  }

  #revisionOf({ hash }: JobBundle): string {
    const { parameters, parallelism, environment, runtime, tracing, encryptionKey } = this.#settings
    const stages = this.plan.graph.vertices.map(({ id }) => {
      const { memorySize, timeout } = stageSettings(this.#settings, id)
      return { id, memorySize, timeoutSeconds: timeout.toSeconds() }
    })
    const parts = { code: hash, plan: this.plan, bindings: this.#bindings.names, stages, runtime: runtime.name, key: encryptionKey?.keyArn }
    return revisionOf(Stack.of(this).resolve({ ...parts, parameters, parallelism, environment, tracing }))
  }

  #deployment(bundle: JobBundle): JobDeployment {
    return {
      plan: this.plan,
      revision: this.revision,
      settings: this.#settings,
      bindings: this.#bindings,
      table: this.table,
      bucket: this.bucket,
      code: this.#codeOf(bundle),
      exchanges: new Map(this.plan.graph.vertices.map((stage) => [stage.id, this.#createExchange(stage)])),
    }
  }

  #codeOf({ folder }: JobBundle): Code {
    // By the end the assembly has its copy, unless the app was told to refer to assets where they are.
    const staged = this.node.tryGetContext('aws:cdk:disable-asset-staging') === undefined
    if (staged) process.once('exit', () => rmSync(dirname(folder), { recursive: true, force: true }))
    return Code.fromAsset(folder)
  }

  #createExchange({ id, parallelism }: VertexPlan): StageExchange {
    const { frameRetention, encryptionKey } = this.#settings
    const { enhancedFanOut, timeout } = stageSettings(this.#settings, id)
    return createExchange(new Construct(this, scopeId(id)), {
      revision: this.revision,
      source: this.#bindings.sourceStream(id),
      parallelism,
      retention: frameRetention,
      enhancedFanOut,
      timeout,
      encryptionKey,
    })
  }

  #deployStage(plan: VertexPlan, deployment: JobDeployment): DeployedStage {
    const scope = this.node.findChild(scopeId(plan.id)) as Construct
    const exchange = deployment.exchanges.get(plan.id) as StageExchange
    const handler = createStageFunction(scope, plan.id, deployment)
    const version = handler.currentVersion
    const { batchingWindow } = stageSettings(this.#settings, plan.id)
    const mappings = createMappings(scope, { revision: this.revision, version, exchange, batchingWindow })
    return { ...exchange, plan, handler, version, mappings }
  }

  /** `millrace status --stack …` finds the job by this output. */
  #nameControl(scope: Construct, id: string): void {
    const output = new CfnOutput(this, 'Control', { value: this.control.functionName, description: `Control function of job ${this.plan.job}` })
    if (scope === Stack.of(this)) output.overrideLogicalId(`${id.replace(/[^A-Za-z0-9]/g, '')}Control`)
  }

  #activate(): void {
    const { startingPosition, logRetention, encryptionKey } = this.#settings
    const stages = [...this.stages.values()]
    const sources = stages
      .filter(({ plan }) => this.plan.sourceStreams[plan.id] !== undefined)
      .map(({ plan: { id }, handler, version, stream, consumer }): [string, ActivatedSource] => {
        const eventSourceArn = consumer?.streamConsumerArn ?? stream.streamArn
        const { batchingWindow } = stageSettings(this.#settings, id)
        return [
          id,
          { handler, version, stream: this.plan.sourceStreams[id], eventSourceArn, batchSize: BATCH_SIZE, batchingWindow, startingPosition },
        ]
      })
    const activation = new Activation(this, 'Activation', {
      revision: this.revision,
      control: this.control,
      controlVersion: this.control.currentVersion,
      sources: Object.fromEntries(sources),
      logRetention,
      encryptionKey,
    })
    for (const { version, mappings } of stages) activation.node.addDependency(version, ...mappings)
  }
}

/** A stage's uid may hold what a construct's id may not. */
function scopeId(stage: string): string {
  return `Stage-${stage.replace(/[^A-Za-z0-9-]/g, (character) => `_${character.charCodeAt(0).toString(16)}`)}`
}
