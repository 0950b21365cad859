import { MillraceError, type Sink, type Source, type WatermarkStrategy } from '../core/index.js'
import { SourceOperator } from '../operators/source-operator.js'
import type { OperatorContext, Output, StreamOperator } from '../operators/stream-operator.js'
import type { TimestampsAndWatermarksOperator } from '../operators/timestamps-and-watermarks-operator.js'
import type { Any, CompiledJob, OperatorPlan, StreamNode, VertexPlan } from '../plan/index.js'
import { sinkOf } from './job-resources.js'
import { HeldSinkOperator, OutboxSinkOperator } from './outbox-sink-operator.js'
import { FedReader, isRecordStreamSource, type RecordStreamSource } from './record-stream-source.js'
import { RisingOutput } from './rising-output.js'

/** A job whose operators of one stage stand as a function needs them, and what the stage's subtask does with them itself. */
export interface StageOperators {
  readonly job: CompiledJob
  readonly source: { readonly uid: string; readonly source: RecordStreamSource<unknown> } | undefined
  /** By uid. */
  readonly sinks: ReadonlyMap<string, Sink<unknown>>
  /** Outputs of the operators that make watermarks, by uid; filled while the chain is built. */
  readonly origins: ReadonlyMap<string, RisingOutput>
  /** Of those whose watermark or idleness time alone may change, by uid. */
  readonly movedByTime: ReadonlyMap<string, MovedByTime>
}

/** From `afterMs` behind the last record on. `untilIdle`: an input that is idle stays so until the next record. */
export interface MovedByTime {
  readonly afterMs: number
  readonly untilIdle: boolean
}

/**
 * Sinks give way to the outbox, sources are fed instead of read, watermarks are kept from going back.
 * Throws PLAN_INVALID for what the stages on AWS cannot do yet: sources that are not streams outside, sinks that commit with checkpoints.
 */
export function bindStage(job: CompiledJob, vertex: VertexPlan): StageOperators {
  const nodes = new Map(job.nodes)
  const sinks = new Map<string, Sink<unknown>>()
  const origins = new Map<string, RisingOutput>()
  const movedByTime = new Map<string, MovedByTime>()
  const noteStrategy = (uid: string, strategy: WatermarkStrategy<Any>) => {
    const moved = movedBy(strategy)
    if (moved !== undefined) movedByTime.set(uid, moved)
  }
  let source: StageOperators['source']
  for (const plan of vertex.operators) {
    const node = job.nodes.get(plan.uid) as StreamNode
    if (node.source !== undefined) {
      const { source: streamed, strategy } = node.source
      source = { uid: plan.uid, source: streamSource(streamed, plan) }
      noteStrategy(plan.uid, strategy)
      const fed: Source<Any, Any> = { ...streamed, createReader: () => new FedReader() }
      const create = () => rising(new SourceOperator<Any, Any>(fed, strategy, () => {}), plan.uid, origins)
      nodes.set(plan.uid, { ...node, source: undefined, createOperator: create })
    } else if (plan.isSink) {
      const sink = outboxSink(node, plan)
      sinks.set(plan.uid, sink)
      nodes.set(plan.uid, { ...node, createOperator: () => (sink.delivery === 'onCheckpoint' ? new HeldSinkOperator() : new OutboxSinkOperator()) })
    } else if (plan.kind === 'watermarks') {
      const create = () => {
        const operator = (node.createOperator as () => TimestampsAndWatermarksOperator<Any>)()
        noteStrategy(plan.uid, operator.strategy)
        return rising(operator, plan.uid, origins)
      }
      nodes.set(plan.uid, { ...node, createOperator: create })
    }
  }
  return { job: { ...job, nodes }, source, sinks, origins, movedByTime }
}

/** Undefined: only records move it. */
function movedBy({ idlenessMs, eventDriven, emitsWatermarks }: WatermarkStrategy<Any>): MovedByTime | undefined {
  if (!emitsWatermarks || (eventDriven && idlenessMs === undefined)) return undefined
  return { afterMs: eventDriven ? (idlenessMs as number) : 0, untilIdle: idlenessMs !== undefined }
}

function rising(operator: StreamOperator<Any, Any>, uid: string, origins: Map<string, RisingOutput>): StreamOperator<Any, Any> {
  const setup = operator.setup.bind(operator)
  operator.setup = (context: OperatorContext, output: Output<unknown>) => {
    const guarded = new RisingOutput(output)
    origins.set(uid, guarded)
    setup(context, guarded)
  }
  return operator
}

function streamSource(source: Source<Any, Any, Any>, plan: OperatorPlan): RecordStreamSource<unknown> {
  if (isRecordStreamSource(source)) return source
  throw notOnAws(plan, `the source "${source.name}" does not read a stream`, 'Read from kinesisSource({ stream, deserialize }).')
}

function outboxSink(node: StreamNode, plan: OperatorPlan): Sink<unknown> {
  const sink = sinkOf(node)
  if (sink !== undefined && (sink.createTransactor !== undefined || sink.createCommitter === undefined)) return sink
  throw notOnAws(
    plan,
    `the sink "${sink?.name ?? plan.name}" commits with checkpoints`,
    'Use a sink with a transactor, or one without a committer, such as print().',
  )
}

export function notOnAws(plan: OperatorPlan, why: string, todo: string): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: `stages on AWS cannot run this job yet: ${why}`,
    where: `operator "${plan.name}" (uid ${plan.uid})`,
    todo,
    uid: plan.uid,
  })
}
