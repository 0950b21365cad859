import { Annotations, ArnFormat, CustomResource, Duration, RemovalPolicy, Stack, Token, Validations } from 'aws-cdk-lib'
import { type IRole, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import type { IKey } from 'aws-cdk-lib/aws-kms'
import { type IFunction, type IVersion, Function as LambdaFunction, type StartingPosition } from 'aws-cdk-lib/aws-lambda'
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs'
import { Provider } from 'aws-cdk-lib/custom-resources'
import { Construct } from 'constructs'
import type { ActivationProperties } from '../functions/activation-handler.js'
import type { DeployedRevision, DeployedSettings, DeployedSource, UpgradeMode } from '../functions/deployment-record.js'
import { acknowledgeWildcard } from './acknowledge.js'
import { allow } from './job-permissions.js'
import { RevisionAccess } from './revision-access.js'

/** A stage that reads a stream outside. */
export interface ActivatedSource {
  /** Its function must be allowed to read the stream: the mapping does so on its behalf. */
  readonly handler: IFunction
  /** Of the function, with the revision's code. */
  readonly version: IVersion
  /** Logical name of the stream. */
  readonly stream: string
  /** ARN of the stream, or of its consumer (enhanced fan-out). */
  readonly eventSourceArn: string
  /** 1 to 10,000 records. */
  readonly batchSize: number
  /** How long Lambda gathers records before it invokes the function, 0 s to 5 min. */
  readonly batchingWindow: Duration
  /** Where a job that never ran begins: `TRIM_HORIZON` or `LATEST`. */
  readonly startingPosition: StartingPosition
}

/** Properties of {@link Activation}. */
export interface ActivationProps {
  readonly revision: string
  /** Answers CloudFormation's requests, and does so for older revisions and newer ones. */
  readonly control: IFunction
  /** Of the control function, with the revision's code: what only the revision itself can do, this is asked for. */
  readonly controlVersion: IVersion
  /** By stage. */
  readonly sources: Readonly<Record<string, ActivatedSource>>
  /** What of the deployment has a price; `millrace cost` reads it. */
  readonly settings?: DeployedSettings
  /** uids of operators whose state may be left behind when the plan has no place for it. Default: none. */
  readonly allowStateLoss?: readonly string[]
  /** How a job goes on that ran as another revision. Default `savepoint`. */
  readonly upgradeMode?: UpgradeMode
  /** How long the logs of the provider's functions are kept. */
  readonly logRetention: RetentionDays
  readonly encryptionKey?: IKey | undefined
}

/** So often the control function is asked whether it has come to its end; each time it does a part of the work. */
const QUERY_INTERVAL = Duration.seconds(5)
/** Of a function's 64 characters, its own logical id and 12 random ones take up to 44. */
const STACK_NAME_KEPT = 20
/** The most that there is. A stop is given up after ten minutes, so there is time to go back. */
const TOTAL_TIMEOUT = Duration.hours(1)

/**
 * Makes the revision the one that runs, when everything else of it is there: it has to depend on all of that, and nothing on it. A job that runs is
 * stopped with a savepoint, from which this revision goes on; when the deployment fails and goes back, the former one goes on from there. The mappings of
 * the sources' streams are made, repointed and deleted by the control function, and stand in no template.
 */
export class Activation extends Construct {
  readonly resource: CustomResource

  constructor(scope: Construct, id: string, props: ActivationProps) {
    super(scope, id)
    const { control } = props
    const logGroup = new LogGroup(this, 'Logs', {
      retention: props.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
      ...(props.encryptionKey === undefined ? {} : { encryptionKey: props.encryptionKey }),
    })
    const provider = new Provider(this, 'Provider', {
      onEventHandler: control,
      isCompleteHandler: control,
      queryInterval: QUERY_INTERVAL,
      totalTimeout: TOTAL_TIMEOUT,
      logGroup,
      frameworkOnEventRole: this.#frameworkRole('OnEventRole', logGroup),
      frameworkCompleteAndTimeoutRole: this.#frameworkRole('IsCompleteRole', logGroup),
    })
    this.resource = new CustomResource(this, 'Resource', {
      serviceToken: provider.serviceToken,
      resourceType: 'Custom::MillraceActivation',
      properties: this.#properties(props) satisfies ActivationProperties,
    })
    this.resource.node.addDependency(this.#grant(props))
    this.#acknowledge(control, provider)
  }

  /** May no more than write its log, and what the provider adds. */
  #frameworkRole(id: string, logGroup: LogGroup): Role {
    const role = new Role(this, id, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') })
    logGroup.grantWrite(role)
    return role
  }

  #properties(props: ActivationProps): ActivationProperties & Record<string, string> {
    const { revision, controlVersion, sources, settings, allowStateLoss = [], upgradeMode = 'savepoint' } = props
    const deployment: DeployedRevision = {
      revision,
      control: controlVersion.functionArn,
      sources: Object.fromEntries(Object.entries(sources).map(([stage, source]) => [stage, deployedSource(source)])),
      ...(settings === undefined ? {} : { settings }),
    }
    // Custom resources know texts only.
    return { deployment: Stack.of(this).toJsonString(deployment), allowStateLoss: JSON.stringify(allowStateLoss), upgradeMode }
  }

  /**
   * Not what the function itself waits for: it names functions that come later. Those of sources that only the revision before has stand in that one's policy,
   * which is there until the activation has cleaned up after them.
   */
  #grant({ control, revision, sources }: ActivationProps): RevisionAccess {
    const access = new RevisionAccess(this, control.role as IRole, revision)
    // Its other versions: those of the revision before, and of the next.
    allow(access, ['lambda:InvokeFunction'], [`${control.functionArn}:*`])
    allow(access, ['lambda:ListAliases'], [this.#functionsOfStack()])
    allow(access, ['lambda:ListEventSourceMappings'], ['*'])
    const functions = [...new Set(Object.values(sources).map(({ handler }) => handler.functionArn))]
    if (functions.length === 0) return access
    allow(access, ['lambda:CreateAlias', 'lambda:DeleteAlias', 'lambda:GetAlias', 'lambda:UpdateAlias'], functions)
    // Of these Lambda knows no resource, or none that has a name before it is made; so they are held to the functions that they are about.
    const about = { ArnLike: { 'lambda:FunctionArn': functions.flatMap((arn) => [arn, `${arn}:*`]) } }
    allow(access, ['lambda:CreateEventSourceMapping', 'lambda:DeleteEventSourceMapping', 'lambda:UpdateEventSourceMapping'], ['*'], about)
    return access
  }

  /** What cdk-nag finds, and why it is so. */
  #acknowledge(control: IFunction, provider: Provider): void {
    // Versions have permissions of their own here, and the provider calls the function.
    Annotations.of(control).acknowledgeWarning('@aws-cdk/aws-lambda:addPermissionsToVersionOrAlias')
    const nag = (id: string, reason: string) => Validations.of(this).acknowledge({ id, reason })
    const wildcard = (resource: string, reason: string) => acknowledgeWildcard(this, resource, reason)
    wildcard(
      `${control.functionArn}:*`,
      'The versions of the revision before and of the next are asked for what only they can do; they have no name here.',
    )
    for (const name of ['framework-isComplete', 'framework-onTimeout']) {
      const framework = provider.node.tryFindChild(name)
      if (framework instanceof LambdaFunction)
        wildcard(`${framework.functionArn}:*`, 'The provider framework grants its own functions to its state machine so.')
    }
    wildcard(
      this.#functionsOfStack(),
      'When the stack is deleted, functions are asked for aliases of which CloudFormation has deleted some, and no template knows their names any more; it only lists.',
    )
    nag(
      'AwsSolutions-IAM5[Resource::*]',
      'Lists of mappings know no resource, and mappings have no name before they are made: a condition holds them to the functions of the sources.',
    )
    nag('AwsSolutions-SF1', 'It only asks the control function again and again, whose log says what it waits for.')
    nag('AwsSolutions-SF2', "The provider framework's state machine cannot be traced.")
  }

  /**
   * CloudFormation begins their names with that of the stack, or as much of it as there is room for. That of a nested stack is not known here, nor how much of it
   * is left: any function of the account. So nothing but a list may be had by it.
   */
  #functionsOfStack(): string {
    const { stackName } = Stack.of(this)
    const prefix = Token.isUnresolved(stackName) ? '' : stackName.slice(0, STACK_NAME_KEPT)
    return Stack.of(this).formatArn({
      service: 'lambda',
      resource: 'function',
      resourceName: `${prefix}*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    })
  }
}

function deployedSource({ handler, version, stream, eventSourceArn, batchSize, batchingWindow, startingPosition }: ActivatedSource): DeployedSource {
  return {
    functionArn: handler.functionArn,
    version: version.version,
    eventSourceArn,
    stream,
    batchSize,
    batchingWindowSeconds: batchingWindow.toSeconds(),
    start: startingPosition === 'LATEST' ? 'LATEST' : 'TRIM_HORIZON',
  }
}
