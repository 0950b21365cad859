import { MillraceError } from '../runtime/core/index.js'
import { awsFailure } from './aws-failure.js'
import { withPackages } from './optional-package.js'

/** How a command is told of a deployed job. */
export interface DeployedFlags {
  /** CloudFormation stack that holds the job. */
  readonly stack?: string
  /** The job (or the id of its StreamJob) in a stack of several. */
  readonly job?: string
  /** The control function itself, by name or ARN. */
  readonly function?: string
}

export function isDeployed({ stack, function: name }: DeployedFlags): boolean {
  return stack !== undefined || name !== undefined
}

/** Name or ARN of the job's control function. Throws DEPLOYMENT_NOT_FOUND, AWS_CALL, PACKAGE_MISSING. */
export async function controlFunction({ stack, job, function: name }: DeployedFlags): Promise<string> {
  if (name !== undefined) return name
  if (stack === undefined) throw noTarget()
  const { stackOutputs } = await withPackages('Finding a stack', () => import('../runtime/backends/aws/stack-outputs.js'))
  const outputs = await awsFailure('DescribeStacks', `stack ${stack}`, 'cloudformation:DescribeStacks', () => stackOutputs(stack))
  if (outputs === undefined) {
    throw new MillraceError('DEPLOYMENT_NOT_FOUND', {
      what: `There is no stack ${stack} in this account and region`,
      todo: 'Check the name (npx cdk list shows those of the app), and AWS_REGION and AWS_PROFILE.',
    })
  }
  const controls = outputs.filter((output) => jobOfOutput(output) !== undefined)
  const found = job === undefined ? controls : controls.filter((output) => sameName(jobOfOutput(output) as string, job))
  if (found.length === 1) return found[0].value
  throw found.length === 0 ? noControl(stack, job, controls.map(jobNamed)) : severalJobs(stack, controls.map(jobNamed))
}

interface Output {
  readonly key: string
  readonly exportName: string | undefined
}

/** `StreamJob` writes an output `<id>Control`, exported as `MillraceControl<id>`. */
function jobOfOutput({ key, exportName }: Output): string | undefined {
  return /^MillraceControl-?(.+)$/.exec(exportName ?? '')?.[1] ?? /^(.+)Control(?:[0-9A-F]{8})?$/.exec(key)?.[1]
}

function jobNamed(output: Output): string {
  return jobOfOutput(output) as string
}

/** A logical id holds letters and digits only. */
function sameName(a: string, b: string): boolean {
  const plain = (name: string) => name.replace(/[^A-Za-z0-9]/g, '').toLowerCase()
  return plain(a) === plain(b)
}

function noTarget(): MillraceError {
  return new MillraceError('OPTION_INVALID', {
    what: 'Nothing says which job is meant',
    where: 'command line',
    todo: 'Give --stack NAME (with --job NAME if it holds several), or --function NAME.',
  })
}

function noControl(stack: string, job: string | undefined, jobs: readonly string[]): MillraceError {
  const there = jobs.length === 0 ? 'none of its outputs is that of a control function' : `it holds ${jobs.join(', ')}`
  return new MillraceError('DEPLOYMENT_NOT_FOUND', {
    what: `Stack ${stack} has no job${job === undefined ? '' : ` ${job}`}: ${there}`,
    todo: 'Deploy the job with the construct StreamJob, name another stack or job, or give --function NAME.',
  })
}

function severalJobs(stack: string, jobs: readonly string[]): MillraceError {
  return new MillraceError('OPTION_INVALID', {
    what: `Stack ${stack} holds several jobs: ${jobs.join(', ')}`,
    where: 'command line',
    todo: 'Add --job NAME.',
  })
}
