import { MillraceError } from '../runtime/core/index.js'
import { StageCheckpoints } from '../runtime/task/stage-checkpoint.js'
import { jobPorts } from './aws-ports.js'
import { deployedJob } from './deployed-job.js'
import { readJobEnvironment } from './stage-environment.js'

/** A step of the state machine of checkpoints. */
export type CheckpointStep = { readonly step: 'begin' } | { readonly step: 'poll'; readonly checkpointId: number }

export type CheckpointStepResult =
  /** `sources` has the subtasks of each source, in the order of the plan: to each goes a barrier. */
  | { readonly status: 'begun'; readonly checkpointId: number; readonly sources: readonly (readonly number[])[] }
  | { readonly status: 'pending' | 'completed'; readonly checkpointId: number }

/** The function behind the state machine of checkpoints. */
export function checkpointHandler(
  job: unknown,
  variables: Readonly<Record<string, string | undefined>> = process.env,
): (step: CheckpointStep) => Promise<CheckpointStepResult> {
  return async (step) => {
    const environment = readJobEnvironment(variables)
    const { graph } = deployedJob(job, environment).describe()
    const checkpoints = new StageCheckpoints({ deployment: environment, graph, attempt: 0, ...jobPorts(environment) })
    switch (step.step) {
      case 'begin': {
        const sources = graph.vertices.filter(({ operators }) => operators[0].isSource)
        const subtasks = sources.map(({ parallelism }) => Array.from({ length: parallelism }, (_, i) => i))
        return { status: 'begun', checkpointId: await checkpoints.begin(), sources: subtasks }
      }
      case 'poll':
        return checkpoints.poll(step.checkpointId)
      default:
        throw new MillraceError('OPTION_INVALID', {
          what: `there is no step "${String((step as CheckpointStep).step)}"`,
          todo: 'Give { step: "begin" } or { step: "poll", checkpointId }.',
        })
    }
  }
}
