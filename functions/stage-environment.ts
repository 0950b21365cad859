import { MillraceError, type ResourceBindings } from '../runtime/core/index.js'
import type { Deployment } from '../runtime/task/stage-names.js'
import { DEFAULT_STAGE_SETTINGS, type StageSettings } from '../runtime/task/stage-settings.js'

/**
 * What a function's environment variables say of its place in the job. `StreamJob` sets them:
 *
 * MILLRACE_JOB, MILLRACE_REVISION   whose logs these are
 * MILLRACE_PLAN                     fingerprint of the plan that was deployed
 * MILLRACE_PARAMETERS               job parameters, a JSON array of words
 * MILLRACE_PARALLELISM              default parallelism (absent: the job's own)
 * MILLRACE_TABLE, MILLRACE_BUCKET   commit logs, parts and snapshots
 * MILLRACE_BINDINGS                 what streams, tables and buckets outside are called, by their logical names, a JSON object
 * MILLRACE_QUEUES                   URLs of the queues of pokes, by stage, a JSON object (of a stage's function: its own)
 * MILLRACE_STAGE                    the stage's id (stage functions only)
 * MILLRACE_STREAM                   name of the stream it takes its batches from (stage functions only)
 * MILLRACE_STREAMS                  names of the streams it writes to, by stage, a JSON object (stage functions only)
 * AWS_LAMBDA_FUNCTION_MEMORY_SIZE   memory of the function, MiB, which Lambda sets: keyed state may take a quarter (stage functions only)
 * MILLRACE_FAILING_RECORDS          what becomes of a record that a function throws for: fail (default) or dead-letter (stage functions only)
 */
export interface JobEnvironment extends Deployment {
  readonly parameters: readonly string[]
  readonly parallelism: number | undefined
  readonly table: string
  readonly bucket: string
  readonly bindings: ResourceBindings
  readonly queues: Readonly<Record<string, string>>
}

export interface StageEnvironment extends JobEnvironment {
  readonly stage: string
  readonly stream: string
  readonly streams: Readonly<Record<string, string>>
  readonly failingRecords: StageSettings['failingRecords']
  readonly stateMemoryBytes: number
}

type Variables = Readonly<Record<string, string | undefined>>

/** Throws OPTION_INVALID. */
export function readJobEnvironment(variables: Variables): JobEnvironment {
  const parallelism = variables.MILLRACE_PARALLELISM
  return {
    job: required(variables, 'MILLRACE_JOB'),
    revision: required(variables, 'MILLRACE_REVISION'),
    plan: required(variables, 'MILLRACE_PLAN'),
    parameters: json(variables, 'MILLRACE_PARAMETERS') as readonly string[],
    parallelism: parallelism === undefined ? undefined : Number(parallelism),
    table: required(variables, 'MILLRACE_TABLE'),
    bucket: required(variables, 'MILLRACE_BUCKET'),
    bindings: json(variables, 'MILLRACE_BINDINGS') as ResourceBindings,
    queues: json(variables, 'MILLRACE_QUEUES') as Readonly<Record<string, string>>,
  }
}

/** Throws OPTION_INVALID. */
export function readStageEnvironment(variables: Variables): StageEnvironment {
  return {
    ...readJobEnvironment(variables),
    stage: required(variables, 'MILLRACE_STAGE'),
    stream: required(variables, 'MILLRACE_STREAM'),
    streams: json(variables, 'MILLRACE_STREAMS') as Readonly<Record<string, string>>,
    failingRecords: variables.MILLRACE_FAILING_RECORDS === 'dead-letter' ? 'dead-letter' : 'fail',
    stateMemoryBytes: stateMemoryBytes(variables.AWS_LAMBDA_FUNCTION_MEMORY_SIZE),
  }
}

/** The rest is for what an invocation makes, and for the garbage of it. */
const STATE_SHARE = 1 / 4

function stateMemoryBytes(functionMiB: string | undefined): number {
  return functionMiB === undefined ? DEFAULT_STAGE_SETTINGS.stateMemoryBytes : Number(functionMiB) * 1024 * 1024 * STATE_SHARE
}

function required(variables: Variables, name: string): string {
  const value = variables[name]
  if (value === undefined || value === '') throw invalid(name, 'is not set')
  return value
}

function json(variables: Variables, name: string): unknown {
  try {
    return JSON.parse(required(variables, name))
  } catch (thrown) {
    throw thrown instanceof MillraceError ? thrown : invalid(name, 'is not JSON')
  }
}

function invalid(name: string, why: string): MillraceError {
  return new MillraceError('OPTION_INVALID', {
    what: `the environment variable ${name} ${why}`,
    todo: 'Deploy the job with the construct StreamJob, which sets it.',
  })
}
