import type { DeploymentPlan } from '../functions/deployment-plan.js'
import { MillraceError } from '../runtime/core/index.js'
import type { OperatorPlan } from '../runtime/plan/index.js'

/** Operators without a key that have state of their own. */
const STATEFUL_KINDS: ReadonlySet<string> = new Set(['window-all', 'broadcast-process'])

/** They stand in names of logs and objects, and in the patterns of permissions, where these characters would mean something else. */
const MISTAKABLE = /[/#*?$"\\\p{Cc}]/u

/** Throws PLAN_INVALID for a job that can run on stages but cannot be deployed so that it can be kept running. */
export function checkPlan(plan: DeploymentPlan): void {
  checkName('the job name', plan.job)
  for (const { id, operators } of plan.graph.vertices) {
    checkName('the uid', id)
    for (const operator of operators) checkUid(plan.job, operator)
  }
}

function checkName(what: string, name: string): void {
  const found = MISTAKABLE.exec(name)
  if (found === null && name.length <= 100) return
  throw new MillraceError('PLAN_INVALID', {
    what: found === null ? `${what} has ${name.length} characters` : `${what} "${name}" has the character ${JSON.stringify(found[0])}`,
    where: `job "${name}"`,
    todo: 'Use at most 100 letters, digits, spaces and characters such as - _ . : in names of what is deployed.',
  })
}

/** Embedded, state is lost when an unnamed operator's place in the graph changes; what is deployed will change. */
function checkUid(job: string, { uid, uidGiven, name, kind, keyed, isSource, isSink }: OperatorPlan): void {
  if (uidGiven || isSource || isSink || !(keyed || STATEFUL_KINDS.has(kind))) return
  throw new MillraceError('PLAN_INVALID', {
    what: `the ${kind} operator "${name}" has state and no uid`,
    where: `job "${job}", operator ${uid}`,
    todo: `Name it, for example .uid('${suggestion(name)}'): by its uid a changed job finds the state it had.`,
    uid,
  })
}

function suggestion(name: string): string {
  return name
    .replace(/\(.*$/, '')
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase()
}
