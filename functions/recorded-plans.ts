import { MillraceError } from '../runtime/core/index.js'
import type { PlanOfJob } from '../runtime/plan/index.js'
import type { CommitLog } from '../runtime/ports/index.js'
import { packChecked, unpackChecked } from '../runtime/state/index.js'

/**
 * The plan of a revision, recorded in the job's table when it is first activated: the next revision finds in it which logs there are to retire, and whether it
 * can go on with the state, though the code that knew the plan is gone.
 */
export async function writePlan(ports: { readonly log: CommitLog }, job: string, revision: string, plan: PlanOfJob): Promise<void> {
  // `lost`: it has been written before, and a revision never has another.
  await ports.log.append(logName(job, revision), { version: 1, payload: packChecked(plan) })
}

/** Undefined: it was never activated. Throws LOG_CORRUPT. */
export async function readPlan(ports: { readonly log: CommitLog }, job: string, revision: string): Promise<PlanOfJob | undefined> {
  const name = logName(job, revision)
  const { item } = await ports.log.head(name)
  if (item === undefined) return undefined
  const unpacked = unpackChecked(item.payload)
  if (!('fault' in unpacked)) return unpacked.value as PlanOfJob
  throw new MillraceError('LOG_CORRUPT', {
    what: `the plan of the revision cannot be read: ${unpacked.fault}`,
    where: `log ${name}`,
    todo: 'Nothing but this job may write to its table. Deploy it under another name, from its last checkpoint.',
  })
}

function logName(job: string, revision: string): string {
  return `${job}/#plans/${revision}`
}
