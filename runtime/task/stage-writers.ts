import { createPartitioner, type Partitioner } from '../exchange/index.js'
import { type CompiledJob, type EdgePlan, FORWARD, type StreamNode, type VertexPlan, vertexOf } from '../plan/index.js'
import { FrameSender } from './frame-sender.js'
import { RecordWriter } from './record-writer.js'

/** One edge out of a stage's subtask. */
export interface StageWriter {
  readonly edge: EdgePlan
  readonly writer: RecordWriter
  readonly senders: readonly FrameSender[]
}

export interface WriterPlace {
  readonly vertex: VertexPlan
  readonly subtask: number
  readonly attempt: number
  /** seq of the next frame by channel ({@link channelOf}). */
  readonly nextSeq: Readonly<Record<string, number>>
  random(): number
}

/** Names a channel within the subtask that sends on it. */
export function channelOf({ edge, to }: { readonly edge: number; readonly to: number }): string {
  return `${edge}:${to}`
}

export function createStageWriters(job: CompiledJob, place: WriterPlace): StageWriter[] {
  return job.graph.edges.filter((edge) => edge.from === place.vertex.id).map((edge) => createWriter(job, edge, place))
}

function createWriter(job: CompiledJob, edge: EdgePlan, place: WriterPlace): StageWriter {
  const receiver = vertexOf(job.graph, edge.to)
  const receivers = edge.partitioning === 'forward' ? [place.subtask] : Array.from({ length: receiver.parallelism }, (_, i) => i)
  const senders = receivers.map((to) => {
    const address = { attempt: place.attempt, edge: edge.index, from: place.subtask, to }
    return new FrameSender(address, place.nextSeq[channelOf(address)] ?? 1)
  })
  if (edge.partitioning === 'forward') return { edge, senders, writer: new RecordWriter(() => 0, senders, true) }
  const single = receiver.parallelism === 1 && edge.partitioning !== 'custom'
  return { edge, senders, writer: new RecordWriter(partitionerOf(job, edge, place, receiver), senders, single) }
}

function partitionerOf(job: CompiledJob, edge: EdgePlan, place: WriterPlace, receiver: VertexPlan): Partitioner {
  const { inputs } = job.nodes.get(edge.to) as StreamNode
  const position = job.graph.edges.filter((e) => e.to === edge.to).findIndex((e) => e.index === edge.index)
  return createPartitioner(inputs[position].partitioning ?? { ...FORWARD, kind: edge.partitioning }, {
    subtask: place.subtask,
    parallelism: place.vertex.parallelism,
    receivers: receiver.parallelism,
    receiverMaxParallelism: receiver.maxParallelism,
    operator: receiver.operators[0],
    random: place.random,
  })
}
