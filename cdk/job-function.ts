import { type Duration, RemovalPolicy } from 'aws-cdk-lib'
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { Architecture, type Code, Function as LambdaFunction, type Runtime, Tracing } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'

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
    role,
    tracing: tracing ? Tracing.ACTIVE : Tracing.DISABLED,
  })
  return { handler, role }
}
