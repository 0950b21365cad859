import type { JobGraph, VertexPlan } from '../plan/index.js'

/** One deployment of a job; its logs begin with this. */
export interface Deployment {
  readonly job: string
  /** A changed job has logs of its own. */
  readonly revision: string
  /** Tells the plan of this deployment from others. */
  readonly plan: string
}

type JobLogs = Pick<Deployment, 'job' | 'revision'>

/** Log of a stage's subtask. */
export function subtaskLogName({ job, revision }: JobLogs, stage: string, subtask: number): string {
  return `${job}/${revision}/${stage}/${subtask}`
}

/** Log with one item for each checkpoint that was begun; its version is the checkpoint's id. `#` keeps it apart from stages. */
export function checkpointsLogName({ job, revision }: JobLogs): string {
  return `${job}/${revision}/#checkpoints`
}

/** Log with one item for each subtask that acknowledged the checkpoint; its version is {@link subtaskOrdinal}. */
export function acksLogName({ job, revision }: JobLogs, checkpointId: number): string {
  return `${job}/${revision}/#checkpoints/${checkpointId}`
}

/** Counts the subtasks of a job from 1, stage by stage. */
export function subtaskOrdinal(graph: JobGraph, vertex: VertexPlan, subtask: number): number {
  const before = graph.vertices.slice(0, graph.vertices.indexOf(vertex))
  return before.reduce((sum, { parallelism }) => sum + parallelism, subtask + 1)
}

export function subtaskCount(graph: JobGraph): number {
  return graph.vertices.reduce((sum, { parallelism }) => sum + parallelism, 0)
}
