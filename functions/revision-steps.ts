import type { Manifest } from '../runtime/checkpoint/index.js'
import type { ManifestRef } from '../runtime/checkpoint/job-record.js'
import { restoredKeyTypes } from '../runtime/checkpoint/restored-key-types.js'
import { planStageRestore } from '../runtime/checkpoint/stage-restore.js'
import { MillraceError } from '../runtime/core/index.js'
import { comparePlans, type JobGraph, type OperatorPlan, otherKeys, type PlanIncompatibility, type PlanOfJob } from '../runtime/plan/index.js'
import { type DeployedControl, deployedControl } from './deployed-control.js'
import type { Transition } from './deployment-record.js'
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
  | {
      readonly step: 'activate'
      readonly from: Transition['begin']
      readonly expected: number
      readonly allowStateLoss: readonly string[]
    }
  | { readonly step: 'abort'; readonly checkpointId: number; readonly why: string }
  /** Since when the oldest record has been in its stream that is not in the checkpoint: by stage, epoch ms. */
  | { readonly step: 'arrivals'; readonly from: ManifestRef }

export type RevisionStepResult =
  | { readonly status: 'compatible'; readonly changes: readonly string[] }
  | { readonly status: 'incompatible'; readonly why: string }
  | { readonly status: 'activated'; readonly attempt: number; readonly from: ManifestRef | null }
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
  const { incompatibilities, changes } = comparePlans(before, await planOf(deployed), { allowStateLoss })
  if (incompatibilities.length > 0) return { status: 'incompatible', why: told(incompatibilities) }
  const why = record.last === null ? undefined : await refusedByCheckpoint(deployed, record.last.checkpointId, allowStateLoss)
  return why === undefined ? { status: 'compatible', changes } : { status: 'incompatible', why }
}

/** Operator state does not show in a plan, and types of keys need not, but in what was last written. */
async function refusedByCheckpoint({ ports, graph, environment }: DeployedControl, id: number, allowStateLoss: readonly string[]) {
  try {
    const manifest = await ports.checkpoints.load(id)
    const operators = manifest.operators.filter(({ uid }) => !allowStateLoss.includes(uid))
    planStageRestore({ ...manifest, operators }, graph, new Map(), { job: environment.job })
    return await refusedByKeys(ports, graph, manifest)
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    // That it is gone says nothing of the state that there will be.
    return error.code === 'CHECKPOINT_OTHER_JOB' || error.code === 'PLAN_INVALID' ? error.message : undefined
  }
}

async function refusedByKeys({ checkpoints }: DeployedControl['ports'], graph: JobGraph, manifest: Manifest): Promise<string | undefined> {
  const declared = keyedOperators(graph).filter(({ keyTypes }) => keyTypes !== undefined)
  const uids = declared.map(({ uid }) => uid)
  const found = await restoredKeyTypes(manifest, uids, (ref) => checkpoints.readSegment(ref))
  const refusals = declared.flatMap(({ uid, keyTypes = [] }) => {
    const lost = found[uid]?.filter((type) => !keyTypes.includes(type)) ?? []
    return lost.length === 0 ? [] : [otherKeys(uid, lost, keyTypes)]
  })
  return refusals.length === 0 ? undefined : told(refusals)
}

function told(found: readonly PlanIncompatibility[]): string {
  return found.map(({ uid, reason, remedy }) => `${uid}: ${reason}. ${remedy}.`).join('\n')
}

function keyedOperators(graph: JobGraph): readonly OperatorPlan[] {
  return graph.vertices.flatMap(({ operators }) => operators).filter(({ keyed }) => keyed)
}

async function activate(deployed: DeployedControl, step: RevisionStep & { readonly step: 'activate' }): Promise<RevisionStepResult> {
  const { control, ports, environment } = deployed
  const { job, revision } = environment
  const record = await control.record()
  if ((await readPlan(ports, job, revision)) === undefined)
    await recordPlan(deployed, step.from === 'last-state' ? (record?.last ?? null) : step.from)
  const retired = record === undefined || record.revision === revision ? undefined : await readPlan(ports, job, record.revision)
  const { attempt, from } = await control.activate({
    from: step.from,
    expected: step.expected,
    allowNonRestoredState: step.allowStateLoss.length > 0,
    ...(record === undefined || retired === undefined ? {} : { retire: { job, revision: record.revision, plan: record.plan, graph: retired.graph } }),
  })
  return { status: 'activated', attempt, from }
}

/** Before its first attempt begins: from then on its own code decides of which types its keys are. */
async function recordPlan(deployed: DeployedControl, from: ManifestRef | null): Promise<void> {
  const { ports, graph, environment } = deployed
  const plan = await planOf(deployed)
  const undeclared = keyedOperators(graph).filter(({ keyTypes }) => keyTypes === undefined)
  const uids = undeclared.map(({ uid }) => uid)
  const manifest = from === null || uids.length === 0 ? undefined : await ports.checkpoints.load(from.checkpointId)
  const keyTypes = manifest && (await restoredKeyTypes(manifest, uids, (ref) => ports.checkpoints.readSegment(ref)))
  await writePlan(ports, environment.job, environment.revision, { ...plan, ...(keyTypes === undefined ? {} : { keyTypes }) })
}

async function planOf({ graph, control, states }: DeployedControl): Promise<PlanOfJob> {
  return { graph, sourceStreams: control.options.sources, states: await states() }
}
