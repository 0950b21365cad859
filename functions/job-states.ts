import { CommandLineParameters } from '../runtime/api/job-parameters.js'
import type { CompiledJob, DeclaredStates } from '../runtime/plan/index.js'
import { declaredStates } from '../runtime/task/job-states.js'

/** What the job's operators declare, see {@link declaredStates}. At synth, and where the revision is activated. */
export function statesOf(job: CompiledJob, parameters: readonly string[]): Promise<DeclaredStates> {
  const clock = { now: () => Date.now(), monotonic: () => performance.now() }
  return declaredStates(job, { parameters: CommandLineParameters.from(parameters), clock })
}
