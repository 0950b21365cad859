import type { JobGraph, VertexPlan } from './job-graph.js'

/** The slot of one subtask: subtask i of every vertex of a group shares slot i of that group; groups come one after the other. */
export function slotOf(graph: JobGraph, vertex: VertexPlan, subtask: number): number {
  let first = 0
  for (const [group, size] of groupSizes(graph)) {
    if (group === vertex.slotSharingGroup) break
    first += size
  }
  return first + subtask
}

export function slotCount(graph: JobGraph): number {
  return [...groupSizes(graph).values()].reduce((sum, size) => sum + size, 0)
}

/** Slots of each group: the highest parallelism in it. In the order in which the vertices name them. */
function groupSizes(graph: JobGraph): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const { slotSharingGroup, parallelism } of graph.vertices) {
    sizes.set(slotSharingGroup, Math.max(sizes.get(slotSharingGroup) ?? 0, parallelism))
  }
  return sizes
}
