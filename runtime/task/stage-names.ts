import type { JobGraph, VertexPlan } from '../plan/index.js'

/** One deployment of a job; its logs begin with this. */
export interface Deployment {
  readonly job: string
  /** A changed job, or one of another parallelism, has logs and streams of its own. */
  readonly revision: string
  /** Tells the plan of this deployment from others. */
  readonly plan: string
}

type JobLogs = Pick<Deployment, 'job' | 'revision'>

/** Log of a stage's subtask; `subtask` is its index, or a source's split. */
export function subtaskLogName({ job, revision }: JobLogs, stage: string, subtask: string): string {
  return `${job}/${revision}/${stage}/${subtask}`
}

/** Its control item is the job record. `#` keeps it apart from revisions and stages. */
export function jobLogName(job: string): string {
  return `${job}/#job`
}

/** Its control item says what clean-up has found. */
export function cleanUpLogName(job: string): string {
  return `${job}/#clean-up`
}

/** Log with one item for each subtask that acknowledged the checkpoint; its version is the subtask's ordinal. */
export function acksLogName({ job, revision }: JobLogs, attempt: number, checkpointId: number): string {
  return `${job}/${revision}/#acks/${attempt}/${checkpointId}`
}

/** Log with one item for each subtask that has ended in this attempt. */
export function endedLogName({ job, revision }: JobLogs, attempt: number): string {
  return `${job}/${revision}/#ended/${attempt}`
}

export function hasSource(vertex: VertexPlan): boolean {
  return vertex.operators[0].isSource
}

/** Counts the subtasks of the stages that read from other stages, from 1. */
export function innerOrdinal(graph: JobGraph, stage: string, index: number): number {
  let ordinal = index + 1
  for (const vertex of graph.vertices) {
    if (vertex.id === stage) return ordinal
    if (!hasSource(vertex)) ordinal += vertex.parallelism
  }
  return ordinal
}

export function innerCount(graph: JobGraph): number {
  return graph.vertices.reduce((sum, vertex) => (hasSource(vertex) ? sum : sum + vertex.parallelism), 0)
}

/** Splits come after the others, by the ordinal that they registered under (from 0). */
export function splitOrdinal(graph: JobGraph, registered: number): number {
  return innerCount(graph) + 1 + registered
}

/** Names the markers of one subtask of a sink; `index` is the subtask's, or the ordinal of a split. */
export function sinkWriterName(job: string, uid: string, index: number): string {
  return `${job}/${uid}/${index}`
}
