import { MillraceError } from '../runtime/core/index.js'
import type { DeployedControl } from './deployed-control.js'
import { type TransitionProgress, Transitions } from './transitions.js'

/** What a restore is asked for with. */
export interface RestoreRequest {
  /** One of the job's own checkpoints or savepoints. */
  readonly checkpointId: number
  /** Any text that tells this wish from an earlier one; the same each time the step is repeated. */
  readonly request: string
}

/**
 * The job goes back to one of its checkpoints: a new attempt of the revision that is deployed begins with it, and its sources go back to where it stood. One step of it:
 * to be repeated with the same request, some seconds apart, until the answer is `done` or `failed`. It may be repeated by another process, and after it is done. A restore that
 * has failed or was left alone is gone on with, or superseded by another; a deployment in progress has to come to its end first (`failed` says so, and nothing is changed).
 *
 * What the job wrote to sinks that deliver at each commit, behind the checkpoint, is written again.
 */
export async function restoreTo({ environment, ports }: DeployedControl, request: RestoreRequest): Promise<TransitionProgress> {
  const { lambdaApi } = await import('./lambda-api.js')
  const transitions = new Transitions(environment.job, { clock: ports.clock, log: ports.log, nonce: ports.nonce, lambda: lambdaApi() })
  return transitions.restore({ ...request, savepoint: await isSavepoint(ports, request.checkpointId) })
}

/** Savepoints stay when checkpoints of their age have been cleaned up. */
async function isSavepoint({ checkpoints }: DeployedControl['ports'], id: number): Promise<boolean> {
  try {
    return (await checkpoints.load(id)).kind === 'savepoint'
  } catch (error) {
    // That it is not there, or is damaged, is found out where it would be needed.
    if (error instanceof MillraceError && error.code.startsWith('CHECKPOINT_')) return false
    throw error
  }
}
