import { Duration, Stack } from 'aws-cdk-lib'
import type { ITable } from 'aws-cdk-lib/aws-dynamodb'
import type { IRole } from 'aws-cdk-lib/aws-iam'
import type { Code, Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda'
import type { IBucket } from 'aws-cdk-lib/aws-s3'
import type { Construct } from 'constructs'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import type { JobBindings } from './job-bindings.js'
import { createJobFunction, type JobFunctionProps } from './job-function.js'
import { allow, grantJobData, grantMapping, grantSinks, grantSourceListing, grantStageData, KEY_ACTIONS } from './job-permissions.js'
import { grantSecrets, secretVariables } from './job-secrets.js'
import { type JobSettings, stageSettings } from './job-settings.js'
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
  grantStageData(role, deployment, stage)
  grantMapping(role, exchange.stream, exchange.consumer?.streamConsumerArn)
  allow(
    role,
    ['kinesis:PutRecords'],
    streams.map(([, { streamArn }]) => streamArn),
  )
  allow(role, MAPPED_QUEUE_ACTIONS, [exchange.pokes.queueArn])
  grantSinks(role, bindings, [stage])
  grantOutside(role, deployment)
  return handler
}

/** Not the stages' own: LEASE_MS in functions/transitions.ts is longer than two of these. */
const CONTROL_TIMEOUT = Duration.minutes(2)

/** Decides for the job as a whole. */
export function createControlFunction(scope: Construct, deployment: JobDeployment): LambdaFunction {
  const { plan, settings, bindings, exchanges } = deployment
  const stages = [...exchanges.keys()]
  const { handler, role } = createJobFunction(scope, {
    ...shared(deployment),
    ...{ handler: 'control.handler', memorySize: settings.memorySize, timeout: CONTROL_TIMEOUT, description: `Control of job ${plan.job}` },
    environment: environment(scope, deployment, stages),
  })
  grantJobData(role, deployment)
  allow(
    role,
    ['sqs:SendMessage'],
    [...exchanges.values()].map(({ pokes }) => pokes.queueArn),
  )
  for (const stream of new Set(stages.map((stage) => bindings.sourceStream(stage)))) if (stream !== undefined) grantSourceListing(role, stream)
  grantOutside(role, deployment)
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

function grantOutside(role: IRole, { settings: { encryptionKey, secrets } }: JobDeployment): void {
  grantSecrets(role, secrets)
  encryptionKey?.grant(role, ...KEY_ACTIONS)
}
