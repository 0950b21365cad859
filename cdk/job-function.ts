import { type Duration, RemovalPolicy } from 'aws-cdk-lib'
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import {
  ApplicationLogLevel,
  Architecture,
  type Code,
  Function as LambdaFunction,
  LoggingFormat,
  type RecursiveLoop,
  Runtime,
  SystemLogLevel,
  Tracing,
} from 'aws-cdk-lib/aws-lambda'
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import { acknowledge, acknowledgeWildcard } from './acknowledge.js'

export interface JobFunctionProps {
  readonly description: string
  readonly handler: 'stage.handler' | 'control.handler'
  readonly code: Code
  readonly runtime: Runtime
  /** MiB. */
  readonly memorySize: number
  readonly timeout: Duration
  readonly environment: Readonly<Record<string, string>>
  readonly logRetention: RetentionDays
  readonly encryptionKey: IKey | undefined
  readonly tracing: boolean
  /** What Lambda does about messages that lead back to the function again and again. Default: it drops them. */
  readonly recursiveLoop?: RecursiveLoop
}

/** A function with a log group and a role of its own, which may do no more than write that log. */
export function createJobFunction(scope: Construct, props: JobFunctionProps): { readonly handler: LambdaFunction; readonly role: Role } {
  const { logRetention, encryptionKey, tracing, environment, ...rest } = props
  const logGroup = new LogGroup(scope, 'Logs', {
    retention: logRetention,
    removalPolicy: RemovalPolicy.DESTROY,
    ...(encryptionKey === undefined ? {} : { encryptionKey }),
  })
  const role = new Role(scope, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com'), description: props.description })
  logGroup.grantWrite(role)
  const handler = new LambdaFunction(scope, 'Function', {
    ...rest,
    environment: { ...environment },
    architecture: Architecture.ARM_64,
    logGroup,
    // Lines of the functions are JSON. Those of Lambda itself come only when something was wrong: two an invocation would cost more than ours.
    loggingFormat: LoggingFormat.JSON,
    applicationLogLevelV2: ApplicationLogLevel.INFO,
    systemLogLevelV2: SystemLogLevel.WARN,
    role,
    tracing: tracing ? Tracing.ACTIVE : Tracing.DISABLED,
  })
  if (props.runtime.name !== Runtime.NODEJS_24_X.name) {
    acknowledge(handler, 'L1', `${props.runtime.name} is supported by Lambda; \`runtime\` of StreamJob chooses the newest, Runtime.NODEJS_24_X.`)
  }
  if (tracing) acknowledgeWildcard(role, '*', 'X-Ray knows no resources to restrict the sending of traces to.')
  return { handler, role }
}
