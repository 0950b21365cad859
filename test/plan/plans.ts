import type { OperatorPlan, PlanOfJob, VertexPlan } from '../../runtime/plan/index.js'

export function operatorOf(uid: string, change: Partial<OperatorPlan> = {}): OperatorPlan {
  return { uid, uidGiven: true, name: uid, kind: 'map', keyed: false, isSource: false, isSink: false, chainedInputs: [], ...change }
}

/** One stage for each list of operators. Sources read a stream of their own uid, unless `streams` says another. */
export function planOf(
  stages: readonly (readonly OperatorPlan[])[],
  change: { readonly job?: string; readonly stage?: Partial<VertexPlan>; readonly streams?: Readonly<Record<string, string>> } = {},
): PlanOfJob {
  const vertices = stages.map(
    (operators): VertexPlan => ({
      id: operators[0].uid,
      name: operators[0].uid,
      parallelism: 1,
      maxParallelism: 128,
      slotSharingGroup: 'default',
      operators,
      ...change.stage,
    }),
  )
  const sources = vertices.filter(({ operators }) => operators[0].isSource).map(({ id }) => [id, change.streams?.[id] ?? id])
  return { graph: { job: change.job ?? 'clicks', vertices, edges: [] }, sourceStreams: Object.fromEntries(sources) }
}
