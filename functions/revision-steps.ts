import type { ManifestRef } from '../runtime/checkpoint/job-record.js'
import { planStageRestore } from '../runtime/checkpoint/stage-restore.js'
import { MillraceError } from '../runtime/core/index.js'
import { comparePlans, type PlanOfJob } from '../runtime/plan/index.js'
import { type DeployedControl, deployedControl } from './deployed-control.js'
import { logError, writeLine } from './function-log.js'
import type { HandlerOptions } from './handler-options.js'
import { readPlan, writePlan } from './recorded-plans.js'
import { arrivalsBehind } from './source-arrivals.js'

/**
 * What only a revision's own code and environment can do: the control function is called by that version of it which the revision was deployed
 * with. Every step may be repeated.
 */
export type RevisionStep =
  /** Whether the state of the job, as it is now, can go on in this revision. */
  | { readonly step: 'compare'; readonly allowStateLoss: readonly string[] }
  /** Begins an attempt of this revision in the place of attempt `expected` (0: of none). */
  | { readonly step: 'activate'; readonly from: ManifestRef | null; readonly expected: number; readonly allowStateLoss: readonly string[] }
  | { readonly step: 'abort'; readonly checkpointId: number; readonly why: string }
  /** Since when the oldest record has been in its stream that is not in the checkpoint: by stage, epoch ms. */
  | { readonly step: 'arrivals'; readonly from: ManifestRef }

export type RevisionStepResult =
  | { readonly status: 'compatible'; readonly changes: readonly string[] }
  | { readonly status: 'incompatible'; readonly why: string }
  | { readonly status: 'activated'; readonly attempt: number }
  | { readonly status: 'aborted' }
  | { readonly status: 'refused'; readonly why: string }
  | { readonly status: 'arrivals'; readonly atMs: Readonly<Record<string, number>> }
  /** What was thrown, as data: a function that throws loses its instance. `again`: the same step may succeed later. */
  | { readonly status: 'failed'; readonly why: string; readonly again: boolean }

const STEPS: ReadonlySet<unknown> = new Set<RevisionStep['step']>(['compare', 'activate', 'abort', 'arrivals'])

export function isRevisionStep(event: unknown): event is RevisionStep {
  return typeof event === 'object' && event !== null && 'step' in event && STEPS.has(event.step)
}

/** Part of the control function. */
export function revisionStepHandler(job: unknown, options: HandlerOptions = {}): (step: RevisionStep) => Promise<RevisionStepResult> {
  return async (step) => {
    try {
      const deployed = deployedControl(job, options)
      try {
        return await revisionStep(deployed, step)
      } finally {
        deployed.metrics.flush()
      }
    } catch (thrown) {
      logError(thrown, { step: step.step }, options.log ?? writeLine)
      const error = MillraceError.from(thrown, 'AWS_CALL', { what: `the step "${step.step}" failed` })
      return { status: 'failed', why: error.message, again: error.retryable }
    }
  }
}

async function revisionStep(deployed: DeployedControl, step: RevisionStep): Promise<RevisionStepResult> {
  const { control, ports } = deployed
  switch (step.step) {
    case 'compare':
      return compare(deployed, step.allowStateLoss)
    case 'activate':
      return activate(deployed, step)
    case 'abort':
      return control.abort(step.checkpointId, step.why)
    case 'arrivals':
      return { status: 'arrivals', atMs: await arrivalsBehind(deployed, await ports.checkpoints.load(step.from.checkpointId)) }
  }
}

async function compare(deployed: DeployedControl, allowStateLoss: readonly string[]): Promise<RevisionStepResult> {
  const { control, ports, environment } = deployed
  const record = await control.record()
  const before = record && (await readPlan(ports, environment.job, record.revision))
  if (record === undefined || before === undefined) return { status: 'compatible', changes: [] }
  const { incompatibilities, changes } = comparePlans(before, planOf(deployed), { allowStateLoss })
  if (incompatibilities.length > 0) {
    return { status: 'incompatible', why: incompatibilities.map(({ uid, reason, remedy }) => `${uid}: ${reason}. ${remedy}.`).join('\n') }
  }
  const why = record.completed === 0 ? undefined : await refusedByCheckpoint(deployed, record.completed, allowStateLoss)
  return why === undefined ? { status: 'compatible', changes } : { status: 'incompatible', why }
}

/** Operator state does not show in a plan, but in what was last written of it. */
async function refusedByCheckpoint({ ports, graph, environment }: DeployedControl, id: number, allowStateLoss: readonly string[]) {
  try {
    const manifest = await ports.checkpoints.load(id)
    const operators = manifest.operators.filter(({ uid }) => !allowStateLoss.includes(uid))
    planStageRestore({ ...manifest, operators }, graph, new Map(), { job: environment.job })
    return undefined
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    // That it is gone says nothing of the state that there will be.
    return error.code === 'CHECKPOINT_OTHER_JOB' || error.code === 'PLAN_INVALID' ? error.message : undefined
  }
}

async function activate(deployed: DeployedControl, step: RevisionStep & { readonly step: 'activate' }): Promise<RevisionStepResult> {
  const { control, ports, environment } = deployed
  const { job, revision } = environment
  await writePlan(ports, job, revision, planOf(deployed))
  const record = await control.record()
  const retired = record === undefined || record.revision === revision ? undefined : await readPlan(ports, job, record.revision)
  const { attempt } = await control.activate({
    from: step.from,
    expected: step.expected,
    allowNonRestoredState: step.allowStateLoss.length > 0,
    ...(record === undefined || retired === undefined ? {} : { retire: { job, revision: record.revision, plan: record.plan, graph: retired.graph } }),
  })
  return { status: 'activated', attempt }
}

function planOf({ graph, control }: DeployedControl): PlanOfJob {
  return { graph, sourceStreams: control.options.sources }
}
