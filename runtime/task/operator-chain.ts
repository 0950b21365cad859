import type { ClientBatch, JobParameters, RuntimeContext } from '../core/index.js'
import { OperatorMetrics } from '../operators/operator-metrics.js'
import { SourceOperator } from '../operators/source-operator.js'
import type { OperatorContext, Output, ProcessingTimeService, StreamOperator } from '../operators/stream-operator.js'
import type { Any, CompiledJob, OperatorPlan, StreamNode, VertexPlan } from '../plan/index.js'
import { type DecodedSegment, KeyedStateBackend, type KeyGroupRange, KeyLoader, keyGroupRange, type RemoteSegment, TailRows } from '../state/index.js'
import { ChainedOutput, FanOutput, WriterOutput } from './chain-output.js'
import { KeyedSnapshots } from './keyed-snapshots.js'
import type { RecordWriter } from './record-writer.js'
import { SubtaskRuntimeContext } from './subtask-runtime-context.js'

/** What a subtask takes from a checkpoint for one operator. */
export interface RestoredOperator {
  readonly segments: readonly DecodedSegment[]
  /** Where only those keys come into memory that are needed: what stands before `segments`, and lies elsewhere. */
  readonly remote?: RemoteState | undefined
  readonly operatorState: readonly unknown[]
}

export interface RemoteState {
  readonly segments: readonly RemoteSegment[]
  readonly cacheBytes: number
  /** All timers of the clock up to here have fired. */
  readonly processedTo: number
}

export interface ChainOptions {
  readonly job: CompiledJob
  readonly vertex: VertexPlan
  readonly subtask: number
  readonly attempt: number
  readonly parameters: JobParameters
  readonly processingTime: ProcessingTimeService
  readonly autoWatermarkIntervalMs: number
  readonly restoredCheckpointId: number
  readonly restored: ReadonlyMap<string, RestoredOperator>
  readonly trackChanges: boolean
  /** Keyed state in memory that operators take over instead of restoring it, by uid. */
  readonly backends?: ReadonlyMap<string, KeyedStateBackend>
  /** Writers of the edges that leave the vertex, by uid of the operator they read. */
  readonly writers: ReadonlyMap<string, readonly { readonly sideTag: string | null; readonly writer: RecordWriter }[]>
  requestSplit(uid: string): void
  /** Of a source's reader, for its enumerator. */
  sendSourceEvent?(uid: string, event: unknown): void
  /** For sources that are aligned with others; see `SourceOperator.reportWatermark`. */
  reportWatermark?(uid: string, watermark: number): void
  emitToClient(name: string, values: readonly unknown[], batch: ClientBatch): void
  fail(error: unknown): void
}

export interface ChainedOperator {
  readonly plan: OperatorPlan
  readonly operator: StreamOperator<Any, Any>
  readonly metrics: OperatorMetrics
  readonly keyed: KeyedSnapshots | undefined
  readonly restored: readonly unknown[]
}

/** The operators of one subtask, wired; in the order of the plan (head first). */
export function buildChain(options: ChainOptions): readonly ChainedOperator[] {
  const built = new Map<string, ChainedOperator & { readonly context: OperatorContext }>()
  for (const plan of options.vertex.operators) built.set(plan.uid, createOperator(plan, options))
  // From the end: an operator's output needs those that read it.
  for (const plan of [...options.vertex.operators].reverse()) {
    const { operator, context, metrics } = built.get(plan.uid) as ChainedOperator & { readonly context: OperatorContext }
    operator.setup(context, outputOf(plan, metrics, options, built))
  }
  return [...built.values()]
}

function createOperator(plan: OperatorPlan, options: ChainOptions): ChainedOperator & { readonly context: OperatorContext } {
  const { vertex, subtask } = options
  const node = options.job.nodes.get(plan.uid) as StreamNode
  const metrics = new OperatorMetrics()
  const restored = options.restored.get(plan.uid)
  let backend: KeyedStateBackend | undefined
  if (plan.keyed) {
    backend = options.backends?.get(plan.uid) ?? restoredBackend(options, restored)
  }
  const place = {
    uid: plan.uid,
    name: plan.name,
    subtaskIndex: subtask,
    parallelism: vertex.parallelism,
    maxParallelism: vertex.maxParallelism,
    attemptNumber: options.attempt,
  }
  const runtime: RuntimeContext = new SubtaskRuntimeContext(options.job.graph.job, place, options.parameters, metrics, backend, options.job.bindings)
  const context: OperatorContext = {
    ...place,
    metrics,
    processingTime: options.processingTime,
    keyed: backend,
    runtime,
    restoredCheckpointId: options.restoredCheckpointId,
    autoWatermarkIntervalMs: options.autoWatermarkIntervalMs,
    emitToClient: options.emitToClient,
    fail: options.fail,
  }
  const operator =
    node.source === undefined
      ? (node.createOperator as NonNullable<StreamNode['createOperator']>)()
      : new SourceOperator(
          node.source.source,
          node.source.strategy,
          () => options.requestSplit(plan.uid),
          (watermark) => options.reportWatermark?.(plan.uid, watermark),
          (event) => options.sendSourceEvent?.(plan.uid, event),
        )
  return { plan, operator, metrics, context, keyed: backend && new KeyedSnapshots(backend), restored: restored?.operatorState ?? [] }
}

function restoredBackend({ vertex, subtask, processingTime, trackChanges }: ChainOptions, restored: RestoredOperator | undefined): KeyedStateBackend {
  const range = keyGroupRange(subtask, vertex.maxParallelism, vertex.parallelism)
  const backend = new KeyedStateBackend(vertex.maxParallelism, range, () => processingTime.clock.now())
  const { segments = [], remote } = restored ?? {}
  if (remote === undefined) backend.restore(segments)
  else backend.restoreOnDemand(loaderOf(remote, segments, range, vertex.maxParallelism), remote.processedTo)
  backend.tracking = trackChanges
  return backend
}

function loaderOf({ segments, cacheBytes }: RemoteState, tail: readonly DecodedSegment[], range: KeyGroupRange, maxParallelism: number): KeyLoader {
  const own = segments.map((segment) => ({
    ...segment,
    keyGroups: { first: Math.max(segment.keyGroups.first, range.first), last: Math.min(segment.keyGroups.last, range.last) },
  }))
  return new KeyLoader(maxParallelism, own, new TailRows(tail, range), cacheBytes)
}

function outputOf(plan: OperatorPlan, metrics: OperatorMetrics, options: ChainOptions, built: ReadonlyMap<string, ChainedOperator>): Output<unknown> {
  const main: Output<unknown>[] = []
  const sides = new Map<string, Output<unknown>[]>()
  const add = (sideTag: string | null, outputTo: (upstream: OperatorMetrics) => Output<unknown>) => {
    const readers = sideTag === null ? main : (sides.get(sideTag) ?? [])
    if (sideTag !== null) sides.set(sideTag, readers)
    // A record counts once as output, however many read it.
    readers.push(outputTo(readers.length === 0 ? metrics : new OperatorMetrics()))
  }
  for (const reader of options.vertex.operators) {
    for (const input of reader.chainedInputs) {
      if (input.uid !== plan.uid) continue
      const { operator, metrics: readerMetrics } = built.get(reader.uid) as ChainedOperator
      add(input.sideTag, (upstream) => new ChainedOutput(operator, readerMetrics, upstream))
    }
  }
  for (const { sideTag, writer } of options.writers.get(plan.uid) ?? []) add(sideTag, (upstream) => new WriterOutput(writer, upstream))
  return main.length === 1 && sides.size === 0 ? main[0] : new FanOutput(main, sides, metrics)
}
