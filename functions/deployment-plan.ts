import { compileJob, type Job } from '../runtime/api/define-job.js'
import type { ExternalResource } from '../runtime/core/index.js'
import type { CompiledJob, JobGraph } from '../runtime/plan/index.js'
import { resourcesOf } from '../runtime/task/job-resources.js'
import { bindStage } from '../runtime/task/stage-operators.js'
import { planFingerprint } from './deployed-job.js'

/** What there is to deploy for a job. Plain data. */
export interface DeploymentPlan {
  readonly job: string
  readonly fingerprint: string
  readonly graph: JobGraph
  /** Logical names of the streams that sources read, by stage. */
  readonly sourceStreams: Readonly<Record<string, string>>
  /** What the sources and sinks of a stage touch outside, by stage; nothing for a stage that touches nothing. */
  readonly resources: Readonly<Record<string, readonly ExternalResource[]>>
}

/** Throws what is wrong with the job, and PLAN_INVALID for what stages on AWS cannot do yet. */
export function deploymentPlan(
  job: Job,
  options: { readonly parameters: readonly string[]; readonly parallelism: number | undefined },
): DeploymentPlan {
  const compiled = compileJob(job, options)
  const { graph } = compiled
  return {
    job: graph.job,
    fingerprint: planFingerprint(graph),
    graph,
    sourceStreams: sourceStreamsOf(compiled),
    resources: stageResourcesOf(compiled),
  }
}

/** By stage, the logical name of the stream that it reads. Throws PLAN_INVALID. */
export function sourceStreamsOf(job: CompiledJob): Readonly<Record<string, string>> {
  const streams: Record<string, string> = {}
  for (const vertex of job.graph.vertices) {
    const { source } = bindStage(job, vertex)
    if (source !== undefined) streams[vertex.id] = source.source.stream
  }
  return streams
}

function stageResourcesOf(job: CompiledJob): DeploymentPlan['resources'] {
  const byStage = job.graph.vertices.map((vertex) => [vertex.id, resourcesOf(job, vertex)] as const)
  return Object.fromEntries(byStage.filter(([, resources]) => resources.length > 0))
}
