import { assert, type JobParameters } from '../core/index.js'
import type { CompiledJob, VertexPlan } from '../plan/index.js'
import type { LiveStageOptions } from './live-stage.js'
import { buildChain, type ChainedOperator } from './operator-chain.js'
import type { RecordWriter } from './record-writer.js'
import type { StageOperators } from './stage-operators.js'
import type { RecoveredState } from './stage-recovery.js'
import { StageSink } from './stage-sinks.js'
import type { StageWriter } from './stage-writers.js'
import { SubtaskRuntimeContext } from './subtask-runtime-context.js'

/** Watermarks at the end of each batch; the interval does not matter. */
const AUTO_WATERMARK_INTERVAL_MS = 200

/** What a stage's chain of operators is built of, beside its options. */
export interface StageChainParts {
  readonly bound: StageOperators
  readonly writers: readonly StageWriter[]
  /** Told of what an asynchronous part of an operator throws. */
  fail(error: unknown): void
}

/** The operators of the subtask over the state that was recovered; they are to be opened. */
export function buildStageChain(
  { vertex, parameters, time }: LiveStageOptions,
  { head, segments, remote, operatorStates, backends }: RecoveredState,
  { bound, writers, fail }: StageChainParts,
): readonly ChainedOperator[] {
  const byOperator = new Map<string, { readonly sideTag: string | null; readonly writer: RecordWriter }[]>()
  for (const { edge, writer } of writers) {
    byOperator.set(edge.fromOperator, [...(byOperator.get(edge.fromOperator) ?? []), { sideTag: edge.sideTag, writer }])
  }
  return buildChain({
    job: bound.job,
    vertex,
    subtask: head.index,
    attempt: head.attempt,
    parameters,
    processingTime: time,
    autoWatermarkIntervalMs: AUTO_WATERMARK_INTERVAL_MS,
    restoredCheckpointId: 0,
    restored: new Map(
      vertex.operators.map(
        ({ uid }) => [uid, { segments: segments.get(uid) ?? [], remote: remote?.get(uid), operatorState: operatorStates.get(uid) ?? [] }] as const,
      ),
    ),
    trackChanges: true,
    backends,
    writers: byOperator,
    requestSplit: () => {},
    emitToClient: () => assert(false, 'sinks with a committer do not run in stages'),
    fail,
  })
}

export interface SinksPlace {
  readonly job: CompiledJob
  readonly vertex: VertexPlan
  readonly parameters: JobParameters
  readonly index: number
  readonly attempt: number
}

/** The outsides of the chain's sinks, by uid. */
export function openStageSinks(
  chain: readonly ChainedOperator[],
  bound: StageOperators,
  { job, vertex, parameters, index, attempt }: SinksPlace,
  clock: LiveStageOptions['time']['clock'],
): ReadonlyMap<string, StageSink> {
  const { parallelism, maxParallelism } = vertex
  const sinks = new Map<string, StageSink>()
  for (const { plan, metrics } of chain) {
    const sink = bound.sinks.get(plan.uid)
    if (sink === undefined) continue
    const { uid, name } = plan
    const place = { uid, name, subtaskIndex: index, parallelism, maxParallelism, attemptNumber: attempt }
    const runtime = new SubtaskRuntimeContext(job.graph.job, place, parameters, metrics, undefined, job.bindings)
    sinks.set(uid, new StageSink(sink, { uid, name, index, parallelism, runtime, clock }))
  }
  return sinks
}
