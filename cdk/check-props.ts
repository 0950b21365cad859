import { type Duration, Token } from 'aws-cdk-lib'
import { Runtime, StartingPosition } from 'aws-cdk-lib/aws-lambda'
import type { DeploymentPlan } from '../functions/deployment-plan.js'
import { MillraceError } from '../runtime/core/index.js'
import type { StageProps, StreamJobProps } from './stream-job-props.js'

const RUNTIMES: readonly Runtime[] = [Runtime.NODEJS_22_X, Runtime.NODEJS_24_X]

/** Types say less (`StartingPosition` has a time, too), and apps in JavaScript have none. */
const CHOICES = {
  startingPosition: [StartingPosition.TRIM_HORIZON, StartingPosition.LATEST],
  failingRecords: ['fail', 'dead-letter'],
  upgradeMode: ['savepoint', 'last-state'],
} as const satisfies { readonly [K in keyof StreamJobProps]?: readonly unknown[] }

/** Throws OPTION_INVALID for properties that are wrong whatever the job is. `path` is the construct's. */
export function checkProps(path: string, props: StreamJobProps): void {
  for (const word of props.parameters ?? []) {
    if (Token.isUnresolved(word)) throw tokenIn(path, 'parameters')
  }
  if (Token.isUnresolved(props.entry)) throw tokenIn(path, 'entry')
  for (const name of Object.keys(props.environment ?? {})) checkVariable(path, 'environment', name)
  for (const name of Object.keys(props.secrets ?? {})) {
    checkVariable(path, 'secrets', name)
    if (Object.hasOwn(props.environment ?? {}, name)) throw invalid(path, `environment and secrets both set ${name}`, 'Leave it to one of them.')
  }
  if (props.runtime !== undefined && !RUNTIMES.some((runtime) => runtime.name === props.runtime?.name)) {
    throw invalid(path, `runtime is ${props.runtime.name}`, `Use ${RUNTIMES.map(({ name }) => name).join(' or ')}.`)
  }
  for (const [name, values] of Object.entries(CHOICES)) {
    const value = props[name as keyof typeof CHOICES]
    if (value !== undefined && !(values as readonly string[]).includes(value))
      throw invalid(path, `${name} is ${value}`, `Use ${values.join(' or ')}.`)
  }
  checkStageProps(path, '', props)
  for (const [stage, own] of Object.entries(props.stages ?? {})) checkStageProps(path, `stages.${stage}.`, own)
  checkDuration(path, 'frameRetention', props.frameRetention, { unit: 3_600, unitName: 'hours', from: 24, to: 365 * 24 })
  checkDuration(path, 'checkpointInterval', props.checkpointInterval, { unit: 60, unitName: 'minutes', from: 1, to: 24 * 60 })
  const { retainedSavepoints: retained = 1 } = props
  if (!Token.isUnresolved(retained) && !(Number.isInteger(retained) && retained >= 1 && retained <= 1_000)) {
    throw invalid(path, `retainedSavepoints is ${retained}`, 'Give a whole number from 1 to 1,000.')
  }
  const alarms = props.alarms === false ? undefined : props.alarms
  checkDuration(path, 'alarms.iteratorAge', alarms?.iteratorAge, { unit: 1, unitName: 'seconds', from: 1, to: 365 * 24 * 3_600 })
}

/** Throws OPTION_INVALID for what is said of stages that the job has not. */
export function checkStages(path: string, { stages = {} }: StreamJobProps, { graph, job }: DeploymentPlan): void {
  const known = graph.vertices.map(({ id }) => id)
  const unknown = Object.keys(stages).find((stage) => !known.includes(stage))
  if (unknown !== undefined) throw invalid(path, `job "${job}" has no stage "${unknown}"`, `Its stages are: ${known.join(', ')}.`)
}

function checkStageProps(path: string, at: string, { memorySize, timeout, batchingWindow }: StageProps): void {
  if (memorySize !== undefined && !Token.isUnresolved(memorySize) && !(Number.isInteger(memorySize) && memorySize >= 128 && memorySize <= 10_240)) {
    throw invalid(path, `${at}memorySize is ${memorySize}`, 'Give whole MiB from 128 to 10,240.')
  }
  checkDuration(path, `${at}timeout`, timeout, { unit: 1, unitName: 'seconds', from: 30, to: 900 })
  checkDuration(path, `${at}batchingWindow`, batchingWindow, { unit: 1, unitName: 'seconds', from: 0, to: 300 })
}

function checkVariable(path: string, property: string, name: string): void {
  if (/^(MILLRACE_|AWS_|LAMBDA_)/.test(name))
    throw invalid(path, `${property} sets ${name}, which is not the job's`, 'Give the variable another name.')
  if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name)) throw invalid(path, `${property} sets "${name}"`, 'Use letters, digits and _ in names of variables.')
}

interface Range {
  /** Seconds. */
  readonly unit: number
  readonly unitName: string
  readonly from: number
  readonly to: number
}

function checkDuration(path: string, name: string, duration: Duration | undefined, { unit, unitName, from, to }: Range): void {
  if (duration === undefined || duration.isUnresolved()) return
  const value = duration.toMilliseconds() / 1_000 / unit
  if (Number.isInteger(value) && value >= from && value <= to) return
  throw invalid(path, `${name} is ${duration.toHumanString()}`, `Give whole ${unitName} from ${from} to ${to}.`)
}

function tokenIn(path: string, name: string): MillraceError {
  const todo = 'Bind the resource to a logical name (`bindings`), or hand the value over in `environment`, which the functions read.'
  return invalid(path, `${name} holds a value that is known only when the stack is deployed, and the graph is drawn at synth`, todo)
}

export function invalid(path: string, what: string, todo: string): MillraceError {
  return new MillraceError('OPTION_INVALID', { what, where: `StreamJob ${path}`, todo })
}
