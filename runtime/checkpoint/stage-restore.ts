import type { JobGraph } from '../plan/index.js'
import type { Manifest, OperatorState } from './manifest.js'
import { type OperatorToRestore, planRestore, type RestoreOptions, type RestorePlan } from './restore-plan.js'
import type { RestoredSplit } from './split-restore.js'

/**
 * {@link planRestore} for stages, where the subtasks of a source's operators are its splits: index i of their plan is split i of the stage in
 * the order of ordinals. What such an operator wrote for a split stays with it; where the source itself stands is in the splits.
 */
export function planStageRestore(
  manifest: Manifest,
  graph: JobGraph,
  splits: ReadonlyMap<string, readonly RestoredSplit[]>,
  options: RestoreOptions & { readonly job: string },
): RestorePlan {
  const operators: OperatorToRestore[] = []
  const former = new Map(manifest.operators.map((operator) => [operator.uid, operator]))
  for (const { id, parallelism, maxParallelism, operators: plans } of graph.vertices) {
    const own = splits.get(id)
    for (const { uid, isSource } of plans) {
      operators.push({ uid, parallelism: own?.length ?? parallelism, maxParallelism })
      const before = former.get(uid)
      if (before === undefined || own === undefined) continue
      former.set(uid, isSource ? { ...before, subtasks: [] } : bySplit(before, own))
    }
  }
  return planRestore({ ...manifest, operators: [...former.values()] }, options.job, operators, options)
}

/** With the indexes of the splits that are now, of those of one reader the first; what is of none of these is dealt out. */
function bySplit(before: OperatorState, splits: readonly RestoredSplit[]): OperatorState {
  const indexes = new Map(splits.map(({ formerOrdinal }, index) => [formerOrdinal, index] as const).reverse())
  const subtasks = before.subtasks.map((former, at) => ({ ...former, subtask: indexes.get(former.subtask) ?? at % splits.length }))
  return { ...before, parallelism: splits.length, subtasks }
}
