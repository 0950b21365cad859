import { type ErrorCode, type ErrorDetail, MillraceError } from '../runtime/core/index.js'
import { activationHandler, isActivationEvent } from './activation-handler.js'
import { LETTERS_PREFIX } from './aws-ports.js'
import { type CheckpointStep, type CheckpointStepResult, checkpointHandler } from './checkpoint-handler.js'
import { abort, begin, listCheckpoints, type PlacesAnswer } from './control-checkpoints.js'
import { isControlRequest, readControlRequest } from './control-requests.js'
import { jobStatus } from './control-status.js'
import { whyNotFired } from './control-why.js'
import { type DeployedControl, deployedControl } from './deployed-control.js'
import type { HandlerOptions } from './handler-options.js'
import { jobUsage } from './job-usage.js'
import { restoreTo } from './restore-to.js'
import { isRevisionStep, revisionStepHandler } from './revision-steps.js'

/** Answer to a request that cannot be met. */
export interface ControlError {
  readonly error: {
    /** Of docs/errors.md. */
    readonly code: ErrorCode
    /** All that the error says, as text. */
    readonly message: string
    readonly detail: Omit<ErrorDetail, 'cause'>
  }
}

/**
 * The one control function of a deployed job: requests of people (`{ command }`, control-requests.ts), steps of the state machine of
 * checkpoints and ticks (`{ step }`, checkpoint-handler.ts), its activation when it has been deployed (activation-handler.ts), and what other
 * revisions ask of this one (revision-steps.ts). A request that cannot be met is an answer, not a failure of the function: only
 * what nobody foresaw counts as one.
 */
export function controlHandler(job: unknown, options: HandlerOptions = {}): (event: unknown) => Promise<unknown> {
  const checkpoint: (step: CheckpointStep) => Promise<CheckpointStepResult> = checkpointHandler(job, options)
  const activation = activationHandler(job, options)
  const revisionStep = revisionStepHandler(job, options)
  return async (event) => {
    if (isActivationEvent(event)) return activation(event)
    if (isRevisionStep(event)) return revisionStep(event)
    if (!isControlRequest(event)) return checkpoint(event as CheckpointStep)
    try {
      const request = readControlRequest(event)
      if (request.command === 'progress') return await checkpoint({ step: 'poll', checkpointId: request.checkpointId })
      const deployed = deployedControl(job, options)
      try {
        switch (request.command) {
          case 'status':
            return await jobStatus(deployed)
          case 'places':
            return placesOf(deployed)
          case 'usage':
            return await jobUsage(deployed)
          case 'checkpoints':
            return await listCheckpoints(deployed)
          case 'begin':
            return await begin(deployed, request.kind)
          case 'abort':
            return await abort(deployed, request.checkpointId)
          case 'restore':
            return await restoreTo(deployed, request)
          case 'why-not-fired':
            return await whyNotFired(deployed, request)
        }
      } finally {
        deployed.metrics.flush()
      }
    } catch (thrown) {
      if (!(thrown instanceof MillraceError) || thrown.code === 'ASSERTION') throw thrown
      const { code, message } = thrown
      return { error: { code, message, detail: thrown.toPlain().detail } } satisfies ControlError
    }
  }
}

function placesOf({ environment: { job, bucket, bindings }, ports, control }: DeployedControl): PlacesAnswer {
  const streams = Object.entries(control.options.sources).map(([stage, stream]) => [stage, bindings[stream] ?? stream])
  return { job, bucket, checkpoints: ports.checkpoints.root, deadLetters: LETTERS_PREFIX, sourceStreams: Object.fromEntries(streams) }
}
