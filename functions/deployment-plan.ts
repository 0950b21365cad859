import { compileJob, type Job } from '../runtime/api/define-job.js'
import type { ExternalResource } from '../runtime/core/index.js'
import type { CompiledJob, DeclaredStates, JobGraph } from '../runtime/plan/index.js'
import { resourcesOf } from '../runtime/task/job-resources.js'
import { bindStage } from '../runtime/task/stage-operators.js'
import { planFingerprint } from './deployed-job.js'
import { statesOf } from './job-states.js'

/** What there is to deploy for a job. Plain data. */
export interface DeploymentPlan {
  readonly job: string
  readonly fingerprint: string
  readonly graph: JobGraph
  /** Logical names of the streams that sources read, by stage. */
  readonly sourceStreams: Readonly<Record<string, string>>
  /** What the sources and sinks of a stage touch outside, by stage; nothing for a stage that touches nothing. */
  readonly resources: Readonly<Record<string, readonly ExternalResource[]>>
  /** By uid, see {@link PlanOfJob}; known of the plan of a synth. */
  readonly states?: DeclaredStates
}

/** What a job is deployed with, beside its code. */
export interface DescribeOptions {
  readonly parameters: readonly string[]
  readonly parallelism: number | undefined
}

/** The plan with the states that the operators declare, which are opened for it. Throws as {@link deploymentPlan}. */
export async function synthesisedPlan(job: Job, options: DescribeOptions): Promise<DeploymentPlan> {
  return { ...deploymentPlan(job, options), states: await statesOf(compileJob(job, options), options.parameters) }
}

/** Throws what is wrong with the job, and PLAN_INVALID for what stages on AWS cannot do yet. */
export function deploymentPlan(job: Job, options: DescribeOptions): DeploymentPlan {
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
