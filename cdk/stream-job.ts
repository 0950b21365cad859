import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { Annotations, AssetHashType, CfnOutput, Duration, Stack, Token } from 'aws-cdk-lib'
import type { Alarm, Dashboard, Metric, MetricOptions } from 'aws-cdk-lib/aws-cloudwatch'
import type { Table } from 'aws-cdk-lib/aws-dynamodb'
import type { Rule } from 'aws-cdk-lib/aws-events'
import type { Grant, IGrantable } from 'aws-cdk-lib/aws-iam'
import { Code, type EventSourceMapping, type Function as LambdaFunction, type Version } from 'aws-cdk-lib/aws-lambda'
import type { Bucket } from 'aws-cdk-lib/aws-s3'
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions'
import { Construct } from 'constructs'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import type { DeployedSettings } from '../functions/deployment-record.js'
import { checkpointsPrefix, LETTERS_PREFIX } from '../functions/job-prefixes.js'
import type { VertexPlan } from '../runtime/plan/index.js'
import { acknowledge, acknowledgeWildcard } from './acknowledge.js'
import { type ActivatedSource, Activation } from './activation.js'
import { bundleJob, type JobBundle } from './bundle-job.js'
import { checkPlan } from './check-plan.js'
import { checkProps, checkStages, invalid } from './check-props.js'
import { createCheckpointMachine } from './checkpoint-machine.js'
import { JobAlarms } from './job-alarms.js'
import { JobBindings } from './job-bindings.js'
import { createDashboard } from './job-dashboard.js'
import { createControlFunction, createStageFunction, type JobDeployment } from './job-functions.js'
import { iteratorAge, type JobMetricName, jobMetric, type StageMetricName, stageMetric } from './job-metrics.js'
import { grantLogGroups } from './job-permissions.js'
import { revisionOf } from './job-revision.js'
import { scheduleCheckpoints, scheduleTick } from './job-schedules.js'
import { secretVariables } from './job-secrets.js'
import { type JobSettings, settingsOf, stageSettings } from './job-settings.js'
import { createBucket, createTable } from './job-storage.js'
import { parallelismInContext } from './parallelism-in-context.js'
import { checkPlanLock } from './plan-lock.js'
import { readPlan } from './read-plan.js'
import { createExchange, type StageExchange } from './stage-exchange.js'
import { BATCH_SIZE, createMappings } from './stage-mappings.js'
import type { StageProps, StreamJobProps } from './stream-job-props.js'

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
  /** Makes this revision the one that runs, at the end of each deployment that has changed it. */
  readonly activation: Activation
  /** None with `alarms: false`. */
  readonly alarms: readonly Alarm[]
  /** None with `dashboard: false`. */
  readonly dashboard: Dashboard | undefined
  readonly #settings: JobSettings
  readonly #bindings: JobBindings
  readonly #schedules: readonly Rule[]
  readonly #alarmMetrics: number

  /**
   * Bundles the job and loads it in a process of its own to learn its plan. Throws what is wrong with the job or the properties: JOB_NOT_FOUND,
   * JOB_COMPILE, PLAN_INVALID, PLAN_INCOMPATIBLE, OPTION_INVALID.
   */
  constructor(scope: Construct, id: string, props: StreamJobProps) {
    super(scope, id)
    const { path } = this.node
    checkProps(path, props)
    this.#settings = settingsOf(props)
    const bundle = bundleJob(props.entry, { secrets: Object.keys(this.#settings.secrets).length > 0 })
    this.plan = this.#readPlan(bundle)
    const rescaled = parallelismInContext(this, this.plan.job)
    if (rescaled !== undefined && rescaled !== this.#settings.parallelism) {
      this.#settings = { ...this.#settings, parallelism: rescaled }
      this.plan = this.#readPlan(bundle)
    }
    checkPlan(this.plan)
    checkStages(path, props, this.plan)
    this.#checkPlanLock(path)
    this.#bindings = new JobBindings(path, this.plan, this.#settings.bindings)
    this.revision = this.#revisionOf(bundle)
    if (this.#settings.encryptionKey !== undefined) grantLogGroups(this, this.#settings.encryptionKey)
    this.table = createTable(this, props)
    this.bucket = createBucket(this, props)
    const deployment = this.#deployment(bundle)
    this.stages = new Map(this.plan.graph.vertices.map((stage) => [stage.id, this.#deployStage(stage, deployment)]))
    this.control = createControlFunction(new Construct(this, 'ControlFunction'), deployment)
    this.checkpoints = this.#createCheckpoints()
    this.#schedules = [
      scheduleCheckpoints(this, 'CheckpointSchedule', this.#settings.checkpointInterval, this.checkpoints),
      scheduleTick(this, 'SourceTick', SOURCE_TICK, this.control, 'sources'),
      scheduleTick(this, 'UpkeepTick', UPKEEP_TICK, this.control, 'all'),
    ]
    const { alarms, dashboard } = this.#settings
    const watched = { job: this.plan.job, stages: this.stages, control: this.control }
    const raised = alarms === false ? undefined : new JobAlarms(this, 'Alarms', watched, alarms)
    this.alarms = raised?.all ?? []
    this.#alarmMetrics = raised?.metrics ?? 0
    this.dashboard = dashboard ? createDashboard(this, 'Dashboard', watched) : undefined
    this.#nameControl(scope, id)
    this.activation = this.#activate()
  }

  /** Lets somebody look after the job with the command `millrace`: status, checkpoints, savepoints, stop. */
  grantControl(grantee: IGrantable): Grant {
    return this.control.grantInvoke(grantee)
  }

  /** Lets somebody read the job's checkpoints and savepoints. */
  grantReadCheckpoints(grantee: IGrantable): Grant {
    return this.bucket.grantRead(grantee, `${checkpointsPrefix(this.plan)}*`)
  }

  /** Lets somebody read the records that the job could not process: JSON objects below `dead-letters/` and the job's name. */
  grantReadDeadLetters(grantee: IGrantable): Grant {
    return this.bucket.grantRead(grantee, `${LETTERS_PREFIX}${this.plan.job}/*`)
  }

  /** A metric of the job, `Millrace` by `Job`: a sum over five minutes by default. */
  metric(name: JobMetricName, options?: MetricOptions): Metric {
    return jobMetric(this.plan.job, name, options)
  }

  /** A metric of one stage, `Millrace` by `Job` and `Stage`: a sum over five minutes by default. */
  metricStage(stage: string, name: StageMetricName, options?: MetricOptions): Metric {
    return stageMetric(this.plan.job, this.#stage(stage).plan.id, name, options)
  }

  /** How old the records are that a stage gets, ms; of a minute the greatest by default. */
  metricIteratorAge(stage: string, options?: MetricOptions): Metric {
    return iteratorAge(this.#stage(stage).handler, options)
  }

  /** Commits of a stage: each made what a batch did last. */
  metricCommits(stage: string, options?: MetricOptions): Metric {
    return this.metricStage(stage, 'commit', options)
  }

  /** Records that were given up and stand among the dead letters. */
  metricDeadLetters(options?: MetricOptions): Metric {
    return this.metric('dead-letter', options)
  }

  /** Batches that failed and come again. */
  metricFailedBatches(options?: MetricOptions): Metric {
    return this.metric('batch-failed', options)
  }

  metricCompletedCheckpoints(options?: MetricOptions): Metric {
    return this.metric('checkpoint-completed', options)
  }

  #stage(id: string): DeployedStage {
    const stage = this.stages.get(id)
    if (stage !== undefined) return stage
    throw invalid(this.node.path, `job "${this.plan.job}" has no stage "${id}"`, `Its stages are: ${[...this.stages.keys()].join(', ')}.`)
  }

  #checkPlanLock(path: string): void {
    const { planLock, entry, allowStateLoss } = this.#settings
    const notices = planLock ? checkPlanLock({ entry, path, plan: this.plan, allowStateLoss }) : []
    for (const notice of notices) Annotations.of(this).addInfo(notice)
  }

  #readPlan({ folder }: JobBundle): DeploymentPlan {
    const { entry, parameters, parallelism, environment } = this.#settings
    // What is not known yet cannot be looked at either.
    const known = Object.fromEntries(Object.entries(environment).filter(([, value]) => !Token.isUnresolved(value)))
    return readPlan({ folder, entry, parameters, parallelism, environment: known })
  }

  #revisionOf({ hash }: JobBundle): string {
    const { parameters, parallelism, environment, runtime, tracing, encryptionKey, failingRecords } = this.#settings
    const stages = this.plan.graph.vertices.map(({ id }) => {
      const { memorySize, timeout } = stageSettings(this.#settings, id)
      return { id, memorySize, timeoutSeconds: timeout.toSeconds() }
    })
    // Its states follow from the code; whether they are known depends on where it was synthesised.
    const { states: _, ...plan } = this.plan
    const parts = { code: hash, plan, bindings: this.#bindings.names, stages, runtime: runtime.name, key: encryptionKey?.keyArn }
    const secrets = secretVariables(this.#settings.secrets)
    return revisionOf(Stack.of(this).resolve({ ...parts, parameters, parallelism, environment, secrets, tracing, failingRecords }))
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

  #codeOf({ folder, hash }: JobBundle): Code {
    // By the end the assembly has its copy, unless the app was told to refer to assets where they are.
    if (this.node.tryGetContext('aws:cdk:disable-asset-staging') === undefined) removeAtExit(dirname(folder))
    // Maps hold paths of the machine that bundled; what runs is the same.
    return Code.fromAsset(folder, { assetHash: hash, assetHashType: AssetHashType.CUSTOM })
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

  #createCheckpoints(): StateMachine {
    const machine = createCheckpointMachine(this, 'Checkpoints', this.control)
    acknowledgeWildcard(machine, `${this.control.functionArn}:*`, "The task of Step Functions grants the function's versions with it.")
    acknowledge(machine, 'SF1', 'It calls the control function, whose log says what each step did; to log it once more each minute would only cost.')
    acknowledge(machine, 'SF2', 'All it does is call the control function, which `tracing` of StreamJob traces.')
    return machine
  }

  /** `millrace status --stack …` finds the job by this output. */
  #nameControl(scope: Construct, id: string): void {
    const output = new CfnOutput(this, 'Control', { value: this.control.functionName, description: `Control function of job ${this.plan.job}` })
    if (scope === Stack.of(this)) output.overrideLogicalId(`${id.replace(/[^A-Za-z0-9]/g, '')}Control`)
  }

  /** Whatever else the revision needs is there before; alarms and the dashboard may be later. */
  #activate(): Activation {
    const { logRetention, encryptionKey, allowStateLoss, upgradeMode } = this.#settings
    const sources = [...this.stages].filter(([, { frames }]) => frames === undefined)
    const activation = new Activation(this, 'Activation', {
      revision: this.revision,
      control: this.control,
      controlVersion: this.control.currentVersion,
      sources: Object.fromEntries(sources.map(([id, stage]) => [id, this.#source(stage)])),
      settings: this.#deployedSettings(),
      allowStateLoss,
      upgradeMode,
      logRetention,
      encryptionKey,
    })
    const stages = [...this.stages.keys()].map((id) => this.node.findChild(scopeId(id)))
    const control = this.control.node.scope as Construct
    activation.resource.node.addDependency(...stages, this.table, this.bucket, control, this.checkpoints, ...this.#schedules)
    return activation
  }

  #deployedSettings(): DeployedSettings {
    const { memorySize, frameRetention, checkpointInterval, retainedSavepoints } = this.#settings
    const ids = [...this.stages.keys()]
    const byStage = <T>(select: (settings: Required<StageProps>) => T) => ids.map((id) => [id, select(stageSettings(this.#settings, id))] as const)
    return {
      memoryMb: Object.fromEntries(byStage((stage) => stage.memorySize)),
      batchingWindowSeconds: Object.fromEntries(byStage(({ batchingWindow }) => batchingWindow.toSeconds())),
      controlMemoryMb: memorySize,
      frameRetentionHours: frameRetention.toHours(),
      checkpointMinutes: checkpointInterval.toMinutes(),
      fanOut: ids.filter((id) => this.stages.get(id)?.consumer !== undefined),
      alarms: this.#alarmMetrics,
      dashboards: this.dashboard === undefined ? 0 : 1,
      retainedSavepoints,
    }
  }

  #source({ plan: { id }, handler, version, stream, consumer }: DeployedStage): ActivatedSource {
    const { startingPosition } = this.#settings
    const { batchingWindow } = stageSettings(this.#settings, id)
    const eventSourceArn = consumer?.streamConsumerArn ?? stream.streamArn
    return { handler, version, stream: this.plan.sourceStreams[id], eventSourceArn, batchSize: BATCH_SIZE, batchingWindow, startingPosition }
  }
}

function scopeId(stage: string): string {
  return `Stage-${stage}`
}

const leaving: string[] = []

/** However many jobs there are, the process has one listener. */
function removeAtExit(folder: string): void {
  if (leaving.push(folder) > 1) return
  process.once('exit', () => {
    for (const path of leaving) rmSync(path, { recursive: true, force: true })
  })
}
