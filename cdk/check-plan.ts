import type { DeploymentPlan } from '../functions/deployment-plan.js'
import { MillraceError } from '../runtime/core/index.js'
import { type OperatorPlan, suggestedUid, unnamedState } from '../runtime/plan/index.js'

/** They stand in names of logs and objects, and in the patterns of permissions, where these characters would mean something else. */
const MISTAKABLE = /[/#*?$"\\\p{Cc}]/u

/** Throws PLAN_INVALID for a job that can run on stages but cannot be deployed so that it can be kept running. */
export function checkPlan(plan: DeploymentPlan): void {
  checkName('the job name', plan.job)
  for (const { id } of plan.graph.vertices) checkName('the uid', id)
  const [operator] = unnamedState(plan.graph)
  if (operator !== undefined) throw unnamed(plan.job, operator)
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

/** In one process it is a warning; what is deployed will change one day. */
function unnamed(job: string, operator: OperatorPlan): MillraceError {
  const { kind, name, uid, isSource, isSink } = operator
  const [what, how] =
    isSource || isSink
      ? [`another operator is called as the ${isSource ? 'source' : 'sink'} "${name}", and it has no uid`, `.uid(…) or .name(…)`]
      : [`the ${kind} operator "${name}" has state and no uid`, `for example .uid('${suggestedUid(operator)}')`]
  return new MillraceError('PLAN_INVALID', {
    what,
    where: `job "${job}", operator ${uid}`,
    todo: `Name it, ${how}: by its uid a changed job finds the state it had.`,
    uid,
  })
}
