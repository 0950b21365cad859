import type { JobRecord } from '../runtime/checkpoint/job-record.js'
import type { DeployedRevision, DeploymentRecord, Transition, UpgradeMode } from './deployment-record.js'

/**
 * What a deployment, a roll-back, a restore asks for, decided as pure functions over the deployment record and the job record.
 *
 * D1 The record says what is going on before anything is done, so whoever comes next (the same request again, or its roll-back) finds it.
 * D2 A transition that has not come to its end is gone on with: by a request for the same revision where it stands, by one for another revision from the
 *    same savepoint. Only while the former revision is being stopped there is nothing to go back to but that itself.
 * D3 From `reading` on records may have been acknowledged for the new attempt, so whoever leaves it lets the sources go back.
 * D4 An upgrade by `last-state` skips `stopping`. What the job had saved is known when its new attempt begins, not before: it goes on saving until then.
 * D5 A request for what is there already does nothing: a roll-back of a deployment that never began, an event that is repeated.
 */
export type DeploymentDecision =
  /** `compare`: only if the state of the job can go on in the revision, as it is now. */
  | { readonly kind: 'put'; readonly record: DeploymentRecord; readonly compare: boolean }
  /** The transition under way is the one that was asked for. */
  | { readonly kind: 'keep' }
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly why: string }

export interface DeploymentRequest {
  /** Tells requests apart; the same when it is repeated. */
  readonly request: string
  readonly to: DeployedRevision
  readonly allowStateLoss: readonly string[]
  /** Default `savepoint`. */
  readonly upgradeMode?: UpgradeMode
}

/** A deployment that is taken back after it came to its end comes within this time. */
const TAKEN_BACK_WITHIN_MS = 2 * 60 * 60_000

export function decideDeployment(record: DeploymentRecord, job: JobRecord | undefined, asked: DeploymentRequest, now: number): DeploymentDecision {
  const { active, transition, last } = record
  const { request, to, allowStateLoss, upgradeMode } = asked
  if (transition !== null) return decideUnderWay(record, transition, job, asked, now)
  if (last?.transition.request === request) return { kind: 'done' }
  const blank: Omit<Transition, 'phase'> = { ...NOTHING_YET, to, phaseAtMs: now, expected: job?.attempt ?? 0, allowStateLoss, request }
  const put = (next: Transition, compare = true): DeploymentDecision => ({ kind: 'put', record: { ...record, transition: next }, compare })
  if (job === undefined) return put({ ...blank, phase: 'restoring', replace: true }, false)
  if (active === null) {
    // It never came to run.
    if (job.last === null && job.phase === 'restoring') return put({ ...blank, phase: 'restoring', replace: true }, false)
    if (job.last === null) return { kind: 'refused', why: NOTHING_TO_GO_ON_FROM }
    return put({ ...blank, phase: 'restoring', begin: job.last, replace: true })
  }
  if (active.revision === to.revision) {
    if (JSON.stringify(active) === JSON.stringify(to)) return { kind: 'done' }
    return put({ ...blank, from: active, phase: 'reading', attempt: job.attempt, begin: job.from }, false)
  }
  if (upgradeMode === 'last-state') return put({ ...blank, from: active, phase: 'restoring', begin: 'last-state', replace: true })
  return put({ ...blank, from: active, phase: 'stopping', otherwise: otherwiseOf(record, to, now) })
}

function decideUnderWay(
  record: DeploymentRecord,
  under: Transition,
  job: JobRecord | undefined,
  { request, to, allowStateLoss, upgradeMode }: DeploymentRequest,
  now: number,
): DeploymentDecision {
  const put = (change: Partial<Transition>, compare: boolean): DeploymentDecision => {
    const transition = { ...under, to, request, allowStateLoss, phaseAtMs: now, ...change }
    return { kind: 'put', record: { ...record, transition }, compare }
  }
  if (under.to.revision === to.revision) return under.request === request ? { kind: 'keep' } : put({}, false)
  const back = under.from?.revision === to.revision
  const expected = job?.attempt ?? 0
  const lastState: Partial<Transition> = { phase: 'restoring', begin: 'last-state', expected, replace: true, back: false, otherwise: null }
  switch (under.phase) {
    case 'stopping':
      if (back) return put({ phase: 'resuming', from: null, back, otherwise: null }, false)
      return put(upgradeMode === 'last-state' ? lastState : {}, true)
    case 'resuming':
      return put({ ...(upgradeMode === 'last-state' ? lastState : { phase: 'stopping', back: false, otherwise: null }), from: under.to }, true)
    default: {
      const replace = under.replace || under.phase === 'reading'
      const begin = under.begin === 'last-state' && expected > under.expected ? (job?.from ?? null) : under.begin
      // It still runs, as nothing was asked of it.
      if (back && begin === 'last-state')
        return put({ phase: 'reading', from: under.to, attempt: expected, begin: null, replace: false, back }, false)
      // To the revision that wrote the savepoint nothing in it is strange.
      return put({ phase: 'restoring', from: under.to, expected, attempt: 0, begin, replace, back, otherwise: null }, false)
    }
  }
}

/** A restore that somebody asks for. */
export interface RestoreWish {
  readonly request: string
  readonly checkpointId: number
  readonly savepoint: boolean
}

/** The job goes back, or on, to a checkpoint of its own; its revision stays. */
export function decideRestoreTo(
  record: DeploymentRecord,
  job: JobRecord | undefined,
  { request, checkpointId, savepoint }: RestoreWish,
  now: number,
): DeploymentDecision {
  const { active, transition, last } = record
  if (transition?.request === request) return { kind: 'keep' }
  if (last?.transition.request === request && transition === null) return { kind: 'done' }
  if (transition !== null && !isRestore(transition)) return { kind: 'refused', why: `revision "${transition.to.revision}" is being deployed` }
  if (active === null || job === undefined) return { kind: 'refused', why: 'the job is not deployed' }
  const next: Transition = {
    ...NOTHING_YET,
    from: active,
    to: active,
    phase: 'restoring',
    phaseAtMs: now,
    begin: { checkpointId, savepoint },
    expected: job.attempt,
    replace: true,
    request,
  }
  return { kind: 'put', record: { ...record, transition: next }, compare: false }
}

/** It has come to its end. */
export function finished(record: DeploymentRecord, transition: Transition, now: number): DeploymentRecord {
  const { to, stop, begin } = transition
  const made = stop !== undefined && begin !== null && begin !== 'last-state' && begin.checkpointId === stop ? [stop] : []
  const savepoints = [...record.savepoints.filter((id) => !made.includes(id)), ...made].slice(-KNOWN_SAVEPOINTS)
  return { ...record, active: to, transition: null, last: { transition, endedAtMs: now }, savepoints }
}

/** More of them are not kept, nor deleted. */
const KNOWN_SAVEPOINTS = 1_000

/** Savepoints of deployments that clean-up may delete: all but the newest, and what a transition may go back to. */
export function expendableSavepoints({ active, transition, last, savepoints }: DeploymentRecord): readonly number[] {
  const retained = active?.settings?.retainedSavepoints
  if (retained === undefined) return []
  const needed = [transition?.begin, transition?.otherwise, last?.transition.begin].map((ref) =>
    typeof ref === 'object' ? ref?.checkpointId : undefined,
  )
  return savepoints.slice(0, -Math.max(1, retained)).filter((id) => !needed.includes(id))
}

export function isRestore({ from, to, phase }: Transition): boolean {
  return from?.revision === to.revision && phase !== 'stopping'
}

const NOTHING_YET = {
  from: null,
  begin: null,
  expected: 0,
  attempt: 0,
  replace: false,
  back: false,
  otherwise: null,
  allowStateLoss: [],
} as const

const NOTHING_TO_GO_ON_FROM =
  'the table holds a job of this name that has run before and has no completed checkpoint to go on from. To begin without state, give the construct another id, ' +
  "which makes a table of its own, or delete the job's items from the table"

/**
 * A deployment of the revision before, soon after the last one came to its end, may be that one's roll-back, because something else in the stack has
 * failed. It stops what runs like any other; but when that cannot be, it must not fail: then it goes back to where the former one stood.
 */
function otherwiseOf({ last, active }: DeploymentRecord, to: DeployedRevision, now: number): Transition['otherwise'] {
  if (last === null || now > last.endedAtMs + TAKEN_BACK_WITHIN_MS) return null
  const { transition } = last
  const { from, to: newer, begin } = transition
  // It is known of one that has come to its end.
  return from?.revision === to.revision && newer.revision === active?.revision && begin !== 'last-state' ? begin : null
}
