import { Duration, Stack } from 'aws-cdk-lib'
import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import type { Role } from 'aws-cdk-lib/aws-iam'
import { type Code, type Function as LambdaFunction, RecursiveLoop } from 'aws-cdk-lib/aws-lambda'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { Construct } from 'constructs'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import type { JobBindings } from './job-bindings.js'
import { createJobFunction, type JobFunctionProps } from './job-function.js'
import { allow, grantJobData, grantMapping, grantSinks, grantSourceListing, grantStageData, KEY_ACTIONS } from './job-permissions.js'
import { grantSecrets, secretVariables } from './job-secrets.js'
import { type JobSettings, stageSettings } from './job-settings.js'
import { RevisionAccess } from './revision-access.js'
import type { StageExchange } from './stage-exchange.js'

/** What all functions of a job have in common. */
export interface JobDeployment {
  readonly plan: DeploymentPlan
  readonly revision: string
  readonly settings: JobSettings
  readonly bindings: JobBindings
  readonly table: ITable
  readonly bucket: IBucket
  readonly code: Code
  /** By stage. */
  readonly exchanges: ReadonlyMap<string, StageExchange>
}

/** Takes the batches and the pokes of one stage. */
export function createStageFunction(scope: Construct, stage: string, deployment: JobDeployment): LambdaFunction {
  const { plan, settings, bindings, exchanges } = deployment
  const own = stageSettings(settings, stage)
  const exchange = exchanges.get(stage) as StageExchange
  const receivers = [...new Set(plan.graph.edges.filter(({ from }) => from === stage).map(({ to }) => to))]
  const streams = receivers.map((to) => [to, (exchanges.get(to) as StageExchange).stream] as const)
  const { handler, role } = createJobFunction(scope, {
    ...shared(deployment),
    ...{ handler: 'stage.handler', memorySize: own.memorySize, timeout: own.timeout, description: `Stage ${stage} of job ${plan.job}` },
    // A stage pokes itself through its queue: a wake-up for later than 15 minutes sends itself on, and the timer that it fires asks for the next one. Lambda
    // takes that for a loop and drops the message after some 16 invocations. How many pokes a poke may lead to is the engine's to see to (decision 22).
    recursiveLoop: RecursiveLoop.ALLOW,
    environment: {
      ...environment(scope, deployment, [stage]),
      MILLRACE_STAGE: stage,
      MILLRACE_FAILING_RECORDS: settings.failingRecords,
      MILLRACE_STREAM: exchange.stream.streamName,
      MILLRACE_STREAMS: json(
        scope,
        streams.map(([to, { streamName }]) => [to, streamName]),
      ),
    },
  })
  const access = revisionAccess(scope, deployment, handler, role)
  grantStageData(access, deployment, stage)
  grantMapping(access, exchange.stream, exchange.consumer?.streamConsumerArn)
  allow(
    access,
    ['kinesis:PutRecords'],
    streams.map(([, { streamArn }]) => streamArn),
  )
  allow(access, MAPPED_QUEUE_ACTIONS, [exchange.pokes.queueArn])
  grantSinks(access, bindings, [stage])
  grantOutside(access, deployment)
  return handler
}

/** Not the stages' own: LEASE_MS in functions/transitions.ts is longer than two of these. */
const CONTROL_TIMEOUT = Duration.minutes(2)

/**
 * Decides for the job as a whole. It is in no loop that Lambda would break: rules, the state machine and the activation call it, it calls another version of itself once
 * at most, and the stages that it pokes do not call it.
 */
export function createControlFunction(scope: Construct, deployment: JobDeployment): LambdaFunction {
  const { plan, settings, bindings, exchanges } = deployment
  const stages = [...exchanges.keys()]
  const { handler, role } = createJobFunction(scope, {
    ...shared(deployment),
    ...{ handler: 'control.handler', memorySize: settings.memorySize, timeout: CONTROL_TIMEOUT, description: `Control of job ${plan.job}` },
    environment: environment(scope, deployment, stages),
  })
  grantJobData(role, deployment)
  const access = revisionAccess(scope, deployment, handler, role)
  allow(
    access,
    ['sqs:SendMessage'],
    [...exchanges.values()].map(({ pokes }) => pokes.queueArn),
  )
  for (const stream of new Set(stages.map((stage) => bindings.sourceStream(stage)))) if (stream !== undefined) grantSourceListing(access, stream)
  grantOutside(access, deployment)
  return handler
}

/** As Lambda asks for on behalf of an event source mapping, and to be able to poke itself later. */
const MAPPED_QUEUE_ACTIONS = ['sqs:ChangeMessageVisibility', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage', 'sqs:SendMessage']

function shared({ code, settings }: JobDeployment): Omit<JobFunctionProps, 'handler' | 'memorySize' | 'timeout' | 'description' | 'environment'> {
  const { runtime, logRetention, encryptionKey, tracing } = settings
  return { code, runtime, logRetention, encryptionKey, tracing }
}

/** functions/stage-environment.ts reads it. `stages`: those whose queues the function may poke. */
function environment(scope: Construct, deployment: JobDeployment, stages: readonly string[]): Record<string, string> {
  const { plan, revision, settings, bindings, table, bucket, exchanges } = deployment
  const { parameters, parallelism } = settings
  return {
    ...settings.environment,
    MILLRACE_JOB: plan.job,
    MILLRACE_REVISION: revision,
    MILLRACE_PLAN: plan.fingerprint,
    MILLRACE_PARAMETERS: JSON.stringify(parameters),
    ...(parallelism === undefined ? {} : { MILLRACE_PARALLELISM: String(parallelism) }),
    MILLRACE_TABLE: table.tableName,
    MILLRACE_BUCKET: bucket.bucketName,
    MILLRACE_BINDINGS: json(scope, bindings.names),
    ...(Object.keys(settings.secrets).length === 0 ? {} : { MILLRACE_SECRETS: Stack.of(scope).toJsonString(secretVariables(settings.secrets)) }),
    MILLRACE_QUEUES: json(
      scope,
      stages.map((stage) => [stage, (exchanges.get(stage) as StageExchange).pokes.queueUrl]),
    ),
  }
}

/** Of names that are known when it is deployed. */
function json(scope: Construct, entries: readonly (readonly [string, string])[]): string {
  return Stack.of(scope).toJsonString(Object.fromEntries(entries))
}

/** There before the function runs the revision's code: so before its version, the mappings that call this, and the activation. */
function revisionAccess(scope: Construct, { revision }: JobDeployment, handler: LambdaFunction, role: Role): RevisionAccess {
  const access = new RevisionAccess(scope, role, revision)
  handler.node.addDependency(access)
  return access
}

function grantOutside(access: RevisionAccess, { settings: { encryptionKey, secrets } }: JobDeployment): void {
  grantSecrets(access, secrets)
  encryptionKey?.grant(access, ...KEY_ACTIONS)
}
