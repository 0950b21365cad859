import { compileJob, isJob, type Job } from '../runtime/api/define-job.js'
import { CommandLineParameters } from '../runtime/api/job-parameters.js'
import { crc32, type JobParameters, MillraceError } from '../runtime/core/index.js'
import type { CompiledJob, JobGraph } from '../runtime/plan/index.js'
import type { JobEnvironment } from './stage-environment.js'

/** A job as a function runs it: with the parameters it was deployed with. */
export interface DeployedJob {
  readonly parameters: JobParameters
  /** Describes the job anew. */
  describe(): CompiledJob
}

/** Throws JOB_NO_DEFAULT_EXPORT, and PLAN_INVALID when the job's plan here is not the one that was deployed. */
export function deployedJob(job: unknown, { parameters, parallelism, bindings, plan }: JobEnvironment): DeployedJob {
  const checked = asJob(job)
  const describe = () => compileJob(checked, { parameters, parallelism, bindings })
  const here = planFingerprint(describe().graph)
  if (here === plan) return { parameters: CommandLineParameters.from(parameters), describe }
  throw new MillraceError('PLAN_INVALID', {
    what: `the plan of job "${checked.name}" is ${here} in the function, and ${plan} was deployed`,
    todo: 'A job must describe the same graph wherever it is loaded: it may depend on its parameters, not on time, chance, files or the environment.',
  })
}

/** Throws JOB_NO_DEFAULT_EXPORT. */
export function asJob(value: unknown): Job {
  if (isJob(value)) return value
  throw new MillraceError('JOB_NO_DEFAULT_EXPORT', {
    what: 'the job module has no job as its default export',
    todo: "Write: export default defineJob('my-job', env => { … })",
  })
}

/** Tells plans apart; plain text of 8 hexadecimal digits. */
export function planFingerprint(graph: JobGraph): string {
  return crc32(new TextEncoder().encode(JSON.stringify(graph)))
    .toString(16)
    .padStart(8, '0')
}
