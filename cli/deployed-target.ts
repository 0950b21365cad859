import { withPackages } from '../runtime/backends/aws/optional-package.js'
import type { StackOutput } from '../runtime/backends/aws/stack-outputs.js'
import { MillraceError } from '../runtime/core/index.js'
import { awsFailure } from './aws-failure.js'
import { wrongCommandLine } from './wrong-command-line.js'

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

/** Throws OPTION_INVALID for flags that do not go together. */
export function checkTarget({ stack, job, function: name }: DeployedFlags): void {
  if (stack !== undefined && name !== undefined) throw wrongCommandLine('--stack and --function exclude each other', 'Give one of them.')
  if (job !== undefined && stack === undefined) throw wrongCommandLine('--job names a job of a stack', 'Add --stack NAME.')
}

/** Name or ARN of the job's control function. Throws OPTION_INVALID, DEPLOYMENT_NOT_FOUND, AWS_CALL, PACKAGE_MISSING. */
export async function controlFunction(flags: DeployedFlags): Promise<string> {
  checkTarget(flags)
  const { stack, job, function: name } = flags
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
  const controls = outputs.filter(isControl)
  const found = job === undefined ? controls : controls.filter((output) => isNamed(output, job))
  if (found.length === 1) return found[0].value
  throw found.length === 0 ? noControl(stack, job, controls.map(jobOf)) : severalJobs(stack, controls.map(jobOf))
}

const EXPORTED = /^MillraceControl-?(.+)$/
const DESCRIBED = /^Control function of job (.+)$/
const KEY = /^(.+)Control(?:[0-9A-F]{8})?$/

/** `StreamJob` writes an output `<id>Control`, whose description names the job. */
function isControl({ key, exportName, description }: StackOutput): boolean {
  return EXPORTED.test(exportName ?? '') || DESCRIBED.test(description ?? '') || KEY.test(key)
}

function jobOf({ key, exportName, description }: StackOutput): string {
  return DESCRIBED.exec(description ?? '')?.[1] ?? EXPORTED.exec(exportName ?? '')?.[1] ?? KEY.exec(key)?.[1] ?? key
}

/** By the name of the job, or the id of its construct, of which an output keeps letters and digits only. */
function isNamed(output: StackOutput, job: string): boolean {
  return jobOf(output) === job || plain(KEY.exec(output.key)?.[1] ?? '') === plain(job) || plain(jobOf(output)) === plain(job)
}

function plain(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, '').toLowerCase()
}

function noTarget(): MillraceError {
  return wrongCommandLine('Nothing says which job is meant', 'Give --stack NAME (with --job NAME if it holds several), or --function NAME.')
}

function noControl(stack: string, job: string | undefined, jobs: readonly string[]): MillraceError {
  const there = jobs.length === 0 ? 'none of its outputs is that of a control function' : `it holds ${jobs.join(', ')}`
  return new MillraceError('DEPLOYMENT_NOT_FOUND', {
    what: `Stack ${stack} has no job${job === undefined ? '' : ` ${job}`}: ${there}`,
    todo: 'Deploy the job with the construct StreamJob, name another stack or job, or give --function NAME.',
  })
}

function severalJobs(stack: string, jobs: readonly string[]): MillraceError {
  return wrongCommandLine(`Stack ${stack} holds several jobs: ${jobs.join(', ')}`, 'Add --job NAME.')
}
