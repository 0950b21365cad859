import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { MillraceError } from '../runtime/core/index.js'
import { comparePlans, type PlanIncompatibility, type PlanOfJob } from '../runtime/plan/index.js'

/** What {@link checkPlanLock} compares. */
export interface PlanLockCheck {
  /** Path of the job's module. */
  readonly entry: string
  /** Path of the construct: a job may be deployed in several ways. */
  readonly path: string
  readonly plan: PlanOfJob
  /** uids of operators whose state may be dropped. */
  readonly allowStateLoss: readonly string[]
}

interface PlanLock {
  readonly format: 1
  /** By the construct's path. */
  readonly plans: Readonly<Record<string, PlanOfJob>>
}

/**
 * Compares the job's plan with the one that was last synthesised, which stands beside the job's module in a file to be committed, so that a change that would
 * lose state is found where it is made, without credentials, and shows in its diff. The file is written at the first synth, and again when the plan has changed without
 * harm; what there is to say of that is returned, as sentences. The activation compares once more, with the plan that really runs.
 *
 * Throws PLAN_INCOMPATIBLE naming each operator, the reason, and the remedy; OPTION_INVALID for a file that is none of these.
 */
export function checkPlanLock({ entry, path, plan, allowStateLoss }: PlanLockCheck): readonly string[] {
  const file = planLockFile(entry)
  const lock = readLock(file)
  const locked = lock?.plans[path]
  const now = withKnownStates(planOf(plan), locked)
  if (locked !== undefined && JSON.stringify(locked) === JSON.stringify(now)) return []
  if (locked === undefined) {
    writeLock(file, lock, path, now)
    return [`The plan of job "${plan.graph.job}" is recorded in ${file}. Commit the file: changes that would lose state are found by it.`]
  }
  const { incompatibilities, changes } = comparePlans(locked, now, { allowStateLoss })
  if (incompatibilities.length > 0) throw incompatible(file, path, incompatibilities)
  writeLock(file, lock, path, now)
  const what = changes.length === 0 ? 'in names, chaining or edges only' : changes.join('; ')
  return [`The plan of job "${plan.graph.job}" has changed (${what}); ${file} is updated. Commit it with the change.`]
}

/** `jobs/clicks.ts` has `jobs/clicks.plan-lock.json`. */
export function planLockFile(entry: string): string {
  return join(dirname(entry), `${basename(entry, extname(entry))}.plan-lock.json`)
}

/** Nothing else of a plan's object, whatever it holds. */
function planOf({ graph, sourceStreams, states }: PlanOfJob): PlanOfJob {
  return { graph, sourceStreams, ...(states === undefined ? {} : { states }) }
}

/** An operator that cannot be opened on this machine declares what it declared on another. */
function withKnownStates(plan: PlanOfJob, locked: PlanOfJob | undefined): PlanOfJob {
  const operators = plan.graph.vertices.flatMap((vertex) => vertex.operators).filter(({ keyed }) => keyed)
  const known = operators.flatMap(({ uid }) => {
    const states = plan.states?.[uid] ?? locked?.states?.[uid]
    return states === undefined ? [] : [[uid, states] as const]
  })
  return known.length === 0 ? plan : { ...plan, states: Object.fromEntries(known) }
}

function readLock(file: string): PlanLock | undefined {
  if (!existsSync(file)) return undefined
  try {
    const lock = JSON.parse(readFileSync(file, 'utf8')) as Partial<PlanLock> | null
    if (lock?.format === 1 && typeof lock.plans === 'object') return lock as PlanLock
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new MillraceError('OPTION_INVALID', {
    what: 'the file is no lock of plans that this version reads',
    where: file,
    todo: 'Restore it from version control (a merge may have left its marks in it), or delete it to record the plan anew.',
  })
}

function writeLock(file: string, lock: PlanLock | undefined, path: string, plan: PlanOfJob): void {
  const plans = Object.entries({ ...lock?.plans, [path]: plan }).sort(([a], [b]) => (a < b ? -1 : 1))
  writeFileSync(file, `${JSON.stringify({ format: 1, plans: Object.fromEntries(plans) } satisfies PlanLock, null, 2)}\n`)
}

function incompatible(file: string, path: string, found: readonly PlanIncompatibility[]): MillraceError {
  const told = found.map(({ uid, reason, remedy }) => `\n  ${uid}: ${reason}.\n    ${remedy}.`).join('')
  return new MillraceError('PLAN_INCOMPATIBLE', {
    what: `the job cannot go on with the state that it has${told}`,
    where: `${path}, compared with ${file}`,
    todo: 'If what the file records was never deployed, restore it from version control, or delete it.',
    uid: found[0]?.uid,
  })
}
