import type { KeyTypesByUid, PlanOfJob } from '../runtime/plan/index.js'
import type { CommitLog } from '../runtime/ports/index.js'
import { packChecked, unpackChecked } from '../runtime/state/index.js'
import { planLogName } from './job-prefixes.js'
import { unreadableItem } from './unreadable-item.js'

/** The plan of a revision, and of which types the keys were in the checkpoint that it first began with, where the plan does not say which they are to be. */
export interface RecordedPlan extends PlanOfJob {
  readonly keyTypes?: KeyTypesByUid
}

/**
 * The plan of a revision, recorded in the job's table when it is first activated: the next revision finds in it which logs there are to retire, and whether it
 * can go on with the state, though the code that knew the plan is gone.
 */
export async function writePlan(ports: { readonly log: CommitLog }, job: string, revision: string, plan: RecordedPlan): Promise<void> {
  // `lost`: it has been written before, and a revision never has another.
  await ports.log.append(planLogName(job, revision), { version: 1, payload: packChecked(plan) })
}

/** Undefined: it was never activated. Throws LOG_CORRUPT. */
export async function readPlan(ports: { readonly log: CommitLog }, job: string, revision: string): Promise<RecordedPlan | undefined> {
  const name = planLogName(job, revision)
  const { item } = await ports.log.head(name)
  if (item === undefined) return undefined
  const unpacked = unpackChecked(item.payload)
  if (!('fault' in unpacked)) return unpacked.value as RecordedPlan
  throw unreadableItem(name, `the plan of the revision cannot be read: ${unpacked.fault}`)
}
