import type { KeyType } from '../core/index.js'
import { changedStates, type DeclaredStates } from './declared-states.js'
import type { JobGraph, OperatorPlan, VertexPlan } from './job-graph.js'

/** A plan with what its sources read: what is compared before a job goes on as another revision. Plain data. */
export interface PlanOfJob {
  readonly graph: JobGraph
  /** Logical names of the streams that sources read, by stage. */
  readonly sourceStreams: Readonly<Record<string, string>>
  /** What its keyed operators declare. Absent: nothing is known of it. */
  readonly states?: DeclaredStates
}

/** Why the state of a plan cannot go on in another. */
export interface PlanIncompatibility {
  readonly uid: string
  /** As a sentence without a full stop. */
  readonly reason: string
  readonly remedy: string
  /** Dropping the operator's state on purpose makes it go away. */
  readonly droppable: boolean
}

export interface PlanComparison {
  readonly incompatibilities: readonly PlanIncompatibility[]
  /** What has changed without harm to any state, for people. */
  readonly changes: readonly string[]
}

interface Placed {
  readonly operator: OperatorPlan
  readonly vertex: VertexPlan
}

/**
 * Whether a job can go on with the state of another plan of it. State is found by uid: an operator whose uid is gone, has another kind, other keys or other
 * key groups would lose what it holds. `allowStateLoss`: uids whose state may go; what concerns them is a change then.
 *
 * States are compared where both plans know them, and types of keys where both have declared them. Where a job declares no types of its keys they are compared with the
 * checkpoint that it goes on from: `guardKeys`.
 */
export function comparePlans(before: PlanOfJob, after: PlanOfJob, options: { readonly allowStateLoss?: readonly string[] } = {}): PlanComparison {
  const allowed = new Set(options.allowStateLoss ?? [])
  const incompatibilities: PlanIncompatibility[] = []
  const changes: string[] = []
  const [was, is] = [operatorsOf(before.graph), operatorsOf(after.graph)]
  const found = (incompatibility: PlanIncompatibility): void => {
    const { uid, reason, droppable } = incompatibility
    if (droppable && allowed.has(uid)) changes.push(`${uid}: ${reason}; its state is dropped on purpose`)
    else incompatibilities.push(incompatibility)
  }
  if (before.graph.job !== after.graph.job) found(otherJob(before.graph.job, after.graph.job))
  for (const [uid, old] of was) {
    const now = is.get(uid)
    if (now === undefined) {
      if (holdsState(old.operator)) found(gone(old.operator))
      else changes.push(`${uid} is gone; it has no state`)
      continue
    }
    for (const incompatibility of incompatible(old, now)) found(incompatibility)
    if (old.operator.keyed && now.operator.keyed) for (const lost of statesLost(before, after, uid)) found(lost)
    if (old.vertex.parallelism !== now.vertex.parallelism)
      changes.push(`${uid}: the parallelism was ${old.vertex.parallelism}, it is ${now.vertex.parallelism}`)
    const [read, reads] = [streamOf(before, old), streamOf(after, now)]
    if (read !== undefined && reads !== undefined && read !== reads) found(otherStream(uid, read, reads))
  }
  for (const [uid, { operator }] of is) {
    if (!was.has(uid)) changes.push(`${uid} is new${holdsState(operator) ? '; it begins without state' : ''}`)
  }
  return { incompatibilities, changes }
}

/**
 * Whether the plan shows that a checkpoint holds something of the operator. That a function without keys keeps operator state does not show; it is found out by the
 * checkpoint.
 */
export function holdsState({ keyed, isSource, kind }: OperatorPlan): boolean {
  return keyed || isSource || STATEFUL_KINDS.has(kind)
}

/** Kinds without keys that keep something. */
const STATEFUL_KINDS: ReadonlySet<string> = new Set(['window-all', 'broadcast-process'])

function* incompatible(old: Placed, now: Placed): Iterable<PlanIncompatibility> {
  const { uid, kind, keyed, isSource } = old.operator
  const other = now.operator
  if (!holdsState(old.operator)) return
  if (keyed !== other.keyed || isSource !== other.isSource) {
    yield changed(uid, `it was ${natureOf(old.operator)} and is ${natureOf(other)}`)
  } else if (kind !== other.kind && !isSource) {
    yield changed(uid, `it was of the kind "${kind}" and is of the kind "${other.kind}", which keeps other state`)
  }
  const lostTypes = old.operator.keyTypes?.filter((type) => other.keyTypes?.includes(type) === false) ?? []
  if (lostTypes.length > 0) yield otherKeys(uid, lostTypes, other.keyTypes ?? [])
  if (keyed && other.keyed && old.vertex.maxParallelism !== now.vertex.maxParallelism) {
    const most = old.vertex.maxParallelism
    yield {
      uid,
      reason: `the max parallelism was ${most} and is ${now.vertex.maxParallelism}, so its keys would be in other key groups`,
      remedy: `Set the max parallelism to ${most} again, or begin without this state under another uid`,
      droppable: false,
    }
  }
}

function* statesLost(before: PlanOfJob, after: PlanOfJob, uid: string): Iterable<PlanIncompatibility> {
  const [was, is] = [before.states?.[uid], after.states?.[uid]]
  if (was === undefined || is === undefined) return
  for (const { kind, name, reason } of changedStates(was, is)) {
    const remedy =
      kind === 'gone'
        ? `Declare it again, or leave it behind on purpose with allowStateLoss: ['${uid}']`
        : `Declare "${name}" as it was, and give the new state another name`
    yield { uid, reason, remedy, droppable: kind === 'gone' }
  }
}

/** Keys of `lost` types, of which there may be state, are none of those that the operator has now. Also for types that were found in a checkpoint. */
export function otherKeys(uid: string, lost: readonly KeyType[], types: readonly KeyType[]): PlanIncompatibility {
  return {
    uid,
    reason: `there is state under keys of type ${lost.join(', ')}, and its keys are of type ${types.join(', ')} now, so that state would never be found again`,
    remedy: `Declare the keys as they were, or as [${[...lost, ...types].map((type) => `'${type}'`).join(', ')}] if they are of all these types, or begin without this state under another uid`,
    droppable: false,
  }
}

function operatorsOf(graph: JobGraph): Map<string, Placed> {
  return new Map(graph.vertices.flatMap((vertex) => vertex.operators.map((operator) => [operator.uid, { operator, vertex }] as const)))
}

function streamOf({ sourceStreams }: PlanOfJob, { operator, vertex }: Placed): string | undefined {
  return operator.isSource ? sourceStreams[vertex.id] : undefined
}

function natureOf({ keyed, isSource }: OperatorPlan): string {
  return isSource ? 'a source' : keyed ? 'keyed' : 'not keyed'
}

function gone({ uid, name, uidGiven, isSource }: OperatorPlan): PlanIncompatibility {
  const what = isSource ? 'its place in the stream' : 'its state'
  const named = name === uid ? '' : ` (${name})`
  return {
    uid,
    reason: `the operator${named} is gone, and ${what} would be lost`,
    remedy: uidGiven
      ? `Give the operator the uid "${uid}" again, or drop it on purpose with allowStateLoss: ['${uid}']`
      : `Its uid was made up from its place in the job: give the operator .uid('${uid}'), or drop it on purpose with allowStateLoss: ['${uid}']`,
    droppable: true,
  }
}

function changed(uid: string, reason: string): PlanIncompatibility {
  return { uid, reason, remedy: 'Give the new operator another uid, and drop the state of this one on purpose with allowStateLoss', droppable: false }
}

function otherStream(uid: string, read: string, reads: string): PlanIncompatibility {
  return {
    uid,
    reason: `the source read the stream "${read}" and reads "${reads}", where its position means nothing`,
    remedy: `Read "${read}" again, or give the source another uid and drop its position on purpose with allowStateLoss: ['${uid}']`,
    droppable: false,
  }
}

function otherJob(before: string, after: string): PlanIncompatibility {
  return {
    uid: after,
    reason: `the job was called "${before}" and is called "${after}", so it would not find its state`,
    remedy: `Call it "${before}" again, or deploy it as a job of its own`,
    droppable: false,
  }
}
