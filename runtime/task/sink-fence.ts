import type { JobParameters } from '../core/index.js'
import { OperatorMetrics } from '../operators/operator-metrics.js'
import type { CompiledJob } from '../plan/index.js'
import type { Clock } from '../ports/index.js'
import { sinkWriterName } from './stage-names.js'
import { bindStage } from './stage-operators.js'
import { StageSink } from './stage-sinks.js'
import { SubtaskRuntimeContext } from './subtask-runtime-context.js'

export interface SinkFenceOptions {
  readonly job: CompiledJob
  /** Name of the deployed job. */
  readonly name: string
  readonly parameters: JobParameters
  readonly clock: Clock
  /** The attempt that begins. */
  readonly attempt: number
  /** Subtasks (or splits) that any stage has or had at most: each has markers of its own. */
  readonly subtasks: number
}

/** A step of a restore: the job's sinks take nothing more from instances of former attempts. May be repeated. */
export async function fenceSinks({ job, name: jobName, parameters, clock, attempt, subtasks }: SinkFenceOptions): Promise<void> {
  for (const vertex of job.graph.vertices) {
    for (const [uid, sink] of bindStage(job, vertex).sinks) {
      const { name } = vertex.operators.find((operator) => operator.uid === uid) as (typeof vertex.operators)[number]
      const { parallelism, maxParallelism } = vertex
      const place = { uid, name, subtaskIndex: 0, parallelism, maxParallelism, attemptNumber: attempt }
      const runtime = new SubtaskRuntimeContext(jobName, place, parameters, new OperatorMetrics(), undefined, job.bindings)
      const fenced = new StageSink(sink, { uid, name, index: 0, parallelism, runtime, clock })
      for (let index = 0; index < subtasks; index++) await fenced.fence(sinkWriterName(jobName, uid, index), attempt)
      await fenced.close()
    }
  }
}
