import type { PendingStageCheckpoint } from '../runtime/checkpoint/job-record.js'
import { MillraceError } from '../runtime/core/index.js'
import { cleanUp } from '../runtime/task/clean-up.js'
import { type DeployedControl, deployedControl } from './deployed-control.js'
import { expendableSavepoints } from './deployment-decisions.js'
import { readDeployment } from './deployment-record.js'
import type { HandlerOptions } from './handler-options.js'

type Kind = PendingStageCheckpoint['kind']

/** `begin` and `poll` are steps of the state machine of checkpoints, whose input may name a kind. `tick` comes from time to time. */
export type CheckpointStep =
  | { readonly step: 'begin'; readonly input?: { readonly kind?: Kind } }
  | { readonly step: 'poll'; readonly checkpointId: number }
  | { readonly step: 'tick'; readonly subtasks: 'sources' | 'all' }

export type CheckpointStepResult =
  | { readonly status: 'begun'; readonly checkpointId: number }
  /** Nothing was committed since the last checkpoint, this one. */
  | { readonly status: 'unchanged'; readonly checkpointId: number }
  | { readonly status: 'refused'; readonly why: string }
  | { readonly status: 'pending'; readonly checkpointId: number; readonly acknowledged: number; readonly needed: number }
  | { readonly status: 'completed'; readonly checkpointId: number; readonly path: string }
  | { readonly status: 'aborted'; readonly checkpointId: number; readonly why: string }
  | { readonly status: 'ticked'; readonly poked: number }

const KINDS: readonly Kind[] = ['checkpoint', 'savepoint', 'stop']

/** The function behind the state machine of checkpoints and the tick. Every step may be repeated. */
export function checkpointHandler(job: unknown, options: HandlerOptions = {}): (step: CheckpointStep) => Promise<CheckpointStepResult> {
  return async (step) => {
    const deployed = deployedControl(job, options)
    try {
      switch (step.step) {
        case 'begin':
          return await begin(deployed, step.input?.kind ?? 'checkpoint')
        case 'poll':
          return await poll(deployed, step.checkpointId)
        case 'tick':
          return await tick(deployed, step.subtasks)
        default:
          throw noSuchStep(step)
      }
    } finally {
      deployed.metrics.flush()
    }
  }
}

async function begin({ control }: DeployedControl, kind: Kind): Promise<CheckpointStepResult> {
  if (!KINDS.includes(kind)) throw noSuchStep({ step: 'begin', kind })
  const begun = await control.begin(kind)
  if (begun.status !== 'refused') return begun
  // Of the same kind: this step's own, when its answer was lost, or as good as that.
  const pending = (await control.record())?.pending
  if (begun.pending !== undefined && pending?.id === begun.pending && pending.kind === kind) return { status: 'begun', checkpointId: pending.id }
  return { status: 'refused', why: begun.why }
}

async function poll({ control, ports }: DeployedControl, checkpointId: number): Promise<CheckpointStepResult> {
  const progress = await control.poll()
  if (progress.status !== 'idle' && progress.checkpointId === checkpointId) {
    if (progress.status !== 'completed') return progress
    return { status: 'completed', checkpointId, path: progress.path }
  }
  // It has left before: another call has completed or aborted it. There is a manifest of those only that complete.
  if ((await ports.checkpoints.ids()).includes(checkpointId)) {
    return { status: 'completed', checkpointId, path: `${ports.checkpoints.root}/chk-${checkpointId}` }
  }
  const record = await control.record()
  const why = record?.aborted === checkpointId ? (record.abortedWhy ?? '') : ''
  return { status: 'aborted', checkpointId, why: why === '' ? 'it was aborted, or a restore has put an end to it' : why }
}

/** The one that reaches everybody, once an hour, cleans up behind them. */
async function tick({ control, environment, graph, ports }: DeployedControl, subtasks: 'sources' | 'all'): Promise<CheckpointStepResult> {
  const poked = await control.tick(subtasks)
  if (subtasks === 'all') {
    const { record } = await readDeployment(ports.log, environment.job, ports.clock.now())
    await cleanUp({ deployment: environment, graph, ports, expendable: expendableSavepoints(record) })
  }
  return { status: 'ticked', poked }
}

function noSuchStep(step: unknown): MillraceError {
  return new MillraceError('OPTION_INVALID', {
    what: `there is no step ${JSON.stringify(step)}`,
    todo: 'Give { step: "begin", input: { kind: "checkpoint" | "savepoint" | "stop" } }, { step: "poll", checkpointId } or { step: "tick", subtasks }.',
  })
}
