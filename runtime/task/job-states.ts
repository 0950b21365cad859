import type { JobParameters } from '../core/index.js'
import { OperatorMetrics } from '../operators/operator-metrics.js'
import type { OperatorContext, Output, ProcessingTimeService, StreamOperator } from '../operators/stream-operator.js'
import type { Any, CompiledJob, DeclaredState, DeclaredStates, OperatorPlan, StreamNode, VertexPlan } from '../plan/index.js'
import type { Clock } from '../ports/index.js'
import { IMPLIED_TIMERS_TABLE, isTimed, KeyedStateBackend, type StateCodec, type StateTable, untimedSerdeId } from '../state/index.js'
import { SubtaskRuntimeContext } from './subtask-runtime-context.js'

export interface StatesPlace {
  readonly parameters: JobParameters
  readonly clock: Clock
}

/**
 * The keyed states of a job's operators, by uid: each operator is opened once, over state that is empty, and what it asks for is noted. That is how it comes to its
 * states where it runs, whether they stand beside the function (`state`), are asked for in `open`, or are the operator's own; and it is known before anything is
 * deployed. An operator that cannot be opened here, since its `open` needs something that is not there, is left out.
 */
export async function declaredStates(job: CompiledJob, place: StatesPlace): Promise<DeclaredStates> {
  const found: Record<string, readonly DeclaredState[]> = {}
  for (const vertex of job.graph.vertices) {
    for (const plan of vertex.operators.filter(({ keyed }) => keyed)) {
      const states = await statesOf(job, vertex, plan, place)
      if (states !== undefined) found[plan.uid] = states
    }
  }
  return found
}

async function statesOf(job: CompiledJob, vertex: VertexPlan, plan: OperatorPlan, place: StatesPlace): Promise<DeclaredState[] | undefined> {
  const { maxParallelism } = vertex
  const backend = new NotedBackend(maxParallelism, { first: 0, last: maxParallelism - 1 }, () => place.clock.now())
  const node = job.nodes.get(plan.uid) as StreamNode
  const operator = (node.createOperator as NonNullable<StreamNode['createOperator']>)()
  operator.setup(contextOf(job, vertex, plan, place, backend), NOWHERE)
  const opened = await opens(operator)
  // Whatever it has opened outside.
  await closed(operator)
  return opened ? [...backend.noted.values()].sort((a, b) => (a.name < b.name ? -1 : 1)) : undefined
}

async function opens(operator: StreamOperator<Any, Any>): Promise<boolean> {
  try {
    await operator.open([])
    return true
  } catch {
    return false
  }
}

async function closed(operator: StreamOperator<Any, Any>): Promise<void> {
  try {
    await operator.close()
  } catch {
    // of no concern here: it is not what the job runs on
  }
}

/** Notes which tables are asked for. */
class NotedBackend extends KeyedStateBackend {
  readonly noted = new Map<string, DeclaredState>()

  override tableWith<V>(asked: string, codec: StateCodec<V>): StateTable<V> {
    // Windows keep the same contents under two names, and find them under either.
    const name = asked === IMPLIED_TIMERS_TABLE ? 'window-contents' : asked
    this.noted.set(name, { name, kind: codec.kind, serde: untimedSerdeId(codec.serdeId), ttl: isTimed(codec.serdeId) })
    return super.tableWith(asked, codec)
  }
}

function contextOf(
  job: CompiledJob,
  { parallelism, maxParallelism }: VertexPlan,
  { uid, name }: OperatorPlan,
  { parameters, clock }: StatesPlace,
  backend: KeyedStateBackend,
): OperatorContext {
  const metrics = new OperatorMetrics()
  const place = { uid, name, subtaskIndex: 0, parallelism, maxParallelism, attemptNumber: 0 }
  const processingTime: ProcessingTimeService = { clock, schedule: () => () => {}, soon: () => {} }
  return {
    ...place,
    metrics,
    processingTime,
    keyed: backend,
    runtime: new SubtaskRuntimeContext(job.graph.job, place, parameters, metrics, backend, job.bindings),
    restoredCheckpointId: 0,
    autoWatermarkIntervalMs: 200,
    emitToClient: () => {},
    fail: () => {},
  }
}

const NOWHERE: Output<unknown> = { collect: () => {}, emitWatermark: () => {}, emitStatus: () => {}, collectSide: () => {} }
