import type { CompiledJob, VertexPlan } from '../plan/index.js'
import { BatchProcessingTime } from './batch-processing-time.js'
import { LiveStage } from './live-stage.js'
import { noSuchStage } from './stage-errors.js'
import { hasSource } from './stage-names.js'
import type { RecoveredState } from './stage-recovery.js'
import type { StageSettings } from './stage-settings.js'
import type { StageSubtaskOptions } from './stage-subtask.js'

/** A subtask's options with every setting decided. */
export interface StagePlace extends StageSubtaskOptions {
  readonly settings: StageSettings
}

/** The subtask in memory, as its log says it is. `known` is its time, when it goes on from another opening of the same invocation. Throws PLAN_INVALID. */
export function openStage(place: StagePlace, recovered: RecoveredState, known?: BatchProcessingTime): Promise<LiveStage> {
  const { deployment, describe, stage, subtask, parameters, ports, settings } = place
  const job = named(describe(), deployment.job)
  const time = known ?? new BatchProcessingTime(ports.clock)
  time.beginAt(recovered.head.lastNow)
  return LiveStage.open(
    {
      job,
      vertex: vertexOf(job, stage, recovered.head.index),
      subtask,
      parameters,
      time,
      packing: { compression: ports.compression, frameBytes: settings.frameBytes },
      random: () => ports.random(),
      count: (event, times) => ports.count(event, times),
    },
    recovered,
  )
}

/** A fork runs the same module under another name: what it writes outside is its own. */
function named(job: CompiledJob, name: string): CompiledJob {
  return job.graph.job === name ? job : { ...job, graph: { ...job.graph, job: name } }
}

/** The stage's vertex; sources have as many subtasks as there are splits. Throws PLAN_INVALID. */
export function vertexOf(job: CompiledJob, stage: string, index: number): VertexPlan {
  const vertex = job.graph.vertices.find(({ id }) => id === stage)
  if (vertex === undefined) throw noSuchStage(job.graph.job, stage, 'the job has no such stage')
  if (hasSource(vertex) || index < vertex.parallelism) return vertex
  throw noSuchStage(job.graph.job, stage, `it has ${vertex.parallelism} subtasks, and a batch came for subtask ${index}`)
}
