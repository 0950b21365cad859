import type { DeclaredStates, JobGraph } from '../runtime/plan/index.js'
import { JobControl } from '../runtime/task/job-control.js'
import { fenceSinks } from '../runtime/task/sink-fence.js'
import { type JobPorts, jobPorts } from './aws-ports.js'
import { deployedJob } from './deployed-job.js'
import { sourceStreamsOf } from './deployment-plan.js'
import type { HandlerOptions } from './handler-options.js'
import { statesOf } from './job-states.js'
import { type JobEnvironment, readJobEnvironment } from './stage-environment.js'
import { StageMetrics } from './stage-metrics.js'

/** A checkpoint that is not complete by then is aborted. */
const CHECKPOINT_TIMEOUT_MS = 10 * 60_000

/** What decides for a deployed job as a whole. */
export interface DeployedControl {
  readonly environment: JobEnvironment
  readonly graph: JobGraph
  readonly ports: JobPorts
  readonly control: JobControl
  readonly metrics: StageMetrics
  /** What its operators declare; they are opened for it. */
  states(): Promise<DeclaredStates>
}

/** Throws OPTION_INVALID, JOB_NO_DEFAULT_EXPORT, PLAN_INVALID. */
export function deployedControl(job: unknown, { variables = process.env, send, log }: HandlerOptions): DeployedControl {
  const environment = readJobEnvironment(variables)
  const { parameters, describe } = deployedJob(job, environment)
  const compiled = describe()
  const { graph } = compiled
  const metrics = new StageMetrics({ job: environment.job }, log)
  const ports = jobPorts(environment, { metrics, send })
  const control = new JobControl({
    deployment: environment,
    graph,
    sources: sourceStreamsOf(compiled),
    ports,
    fenceSinks: (attempt, subtasks) => fenceSinks({ job: describe(), name: environment.job, parameters, clock: ports.clock, attempt, subtasks }),
    // A job that was removed may come back, or another get its name, and what sinks have marked outside is still there: nothing of an attempt that
    // begins at 1 again would be written. Attempts rise by one with each restore, so no job gets ahead of the seconds.
    firstAttempt: Math.floor(ports.clock.now() / 1_000),
    timeoutMs: CHECKPOINT_TIMEOUT_MS,
  })
  return { environment, graph, ports, control, metrics, states: () => statesOf(describe(), environment.parameters) }
}
