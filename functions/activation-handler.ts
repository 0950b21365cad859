import { MillraceError } from '../runtime/core/index.js'
import { CONTROL_TIMEOUT_MS } from './control-timeout.js'
import { deployedControl } from './deployed-control.js'
import type { DeployedRevision, UpgradeMode } from './deployment-record.js'
import { type WriteLine, writeLine } from './function-log.js'
import type { HandlerOptions } from './handler-options.js'
import { type TransitionProgress, Transitions } from './transitions.js'

/** What CloudFormation says of the activation, by way of the CDK's provider framework. */
export interface ActivationEvent {
  readonly RequestType: 'Create' | 'Update' | 'Delete'
  readonly RequestId: string
  readonly ResourceProperties: ActivationProperties
  /** What {@link activationHandler} answered to the event before it was asked whether it is complete. */
  readonly Begun?: true
}

/** Set by the construct `Activation`. */
export interface ActivationProperties {
  /** A {@link DeployedRevision} as JSON. */
  readonly deployment: string
  /** uids of operators whose state may be left behind, a JSON array. */
  readonly allowStateLoss: string
  /** {@link UpgradeMode}. */
  readonly upgradeMode: string
}

export type ActivationAnswer =
  | { readonly PhysicalResourceId: string; readonly Begun: true }
  | { readonly IsComplete: false }
  | { readonly IsComplete: true; readonly Data: { readonly Attempt: string; readonly Revision: string } }

export function isActivationEvent(event: unknown): event is ActivationEvent {
  return typeof event === 'object' && event !== null && 'RequestType' in event && 'ResourceProperties' in event
}

/**
 * Part of the control function: `onEvent` and `isComplete` of the custom resource that activates a revision when it has been deployed. The first event only
 * begins to wait, so that nothing that passes fails a deployment; each question whether it is complete does a slice of the work (see {@link Transitions}). Throws
 * ACTIVATION_REFUSED with the reason when the deployment has failed, after which CloudFormation asks for the revision before.
 */
export function activationHandler(job: unknown, options: HandlerOptions = {}): (event: ActivationEvent) => Promise<ActivationAnswer> {
  return async (event) => {
    const { environment, ports, metrics } = deployedControl(job, options)
    const { job: name } = environment
    // The same for ever: another one would have CloudFormation remove what the former stands for.
    if (event.Begun !== true) return { PhysicalResourceId: `millrace-${name}`, Begun: true }
    try {
      const { lambdaApi } = await import('./lambda-api.js')
      const transitions = new Transitions(name, { clock: ports.clock, log: ports.log, nonce: ports.nonce, lambda: lambdaApi() })
      const to = JSON.parse(event.ResourceProperties.deployment) as DeployedRevision
      const allowStateLoss = JSON.parse(event.ResourceProperties.allowStateLoss) as readonly string[]
      const upgradeMode = event.ResourceProperties.upgradeMode as UpgradeMode
      const deploy = () => transitions.deploy({ request: event.RequestId, to, allowStateLoss, upgradeMode })
      const progress = await inTime(event.RequestType === 'Delete' ? transitions.remove(to) : deploy())
      tell(progress, { job: name, revision: to.revision }, options.log)
      return answerOf(progress, name, to.revision)
    } finally {
      metrics.flush()
    }
  }
}

/** Before the function's time is over: one that is cut off fails the deployment. */
const ANSWER_MS = CONTROL_TIMEOUT_MS - 20_000

/** What goes on meanwhile, in this instance or until it is gone, keeps others out by its lease. */
async function inTime(work: Promise<TransitionProgress>): Promise<TransitionProgress> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<TransitionProgress>((resolve) => {
    timer = setTimeout(() => resolve({ status: 'under-way', why: 'a step takes its time' }), ANSWER_MS)
  })
  work.catch(() => {}) // when nobody waits for it any more
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** In the function's log: nobody else sees what it waits for. */
function tell(progress: TransitionProgress, labels: Readonly<Record<string, string>>, write: WriteLine = writeLine): void {
  const [level, message] =
    progress.status === 'under-way'
      ? ['INFO', `waiting: ${progress.why}`]
      : progress.status === 'failed'
        ? ['ERROR', progress.why]
        : progress.warning === undefined
          ? ['INFO', `activated as attempt ${progress.attempt}`]
          : ['ERROR', `the deployment was taken back, but the job does not run: ${progress.warning}`]
  write(JSON.stringify({ level, ...labels, message }))
}

function answerOf(progress: TransitionProgress, job: string, revision: string): ActivationAnswer {
  switch (progress.status) {
    case 'under-way':
      return { IsComplete: false }
    case 'done':
      return { IsComplete: true, Data: { Attempt: String(progress.attempt), Revision: revision } }
    case 'failed':
      throw new MillraceError('ACTIVATION_REFUSED', {
        what: `the revision cannot be activated: ${progress.why}`,
        where: `job "${job}", revision "${revision}"`,
        todo: 'What ran before goes on. Mend the cause and deploy again.',
      })
  }
}
