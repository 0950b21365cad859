import { createPartitioner, type Partitioner } from '../exchange/index.js'
import { type CompiledJob, type EdgePlan, FORWARD, type StreamNode, type VertexPlan, vertexOf } from '../plan/index.js'
import type { OutputState } from './commit-record.js'
import { type FramePacking, FrameSender } from './frame-sender.js'
import { RecordWriter } from './record-writer.js'
import { hasSource } from './stage-names.js'

/** One edge out of a stage's subtask. */
export interface StageWriter {
  readonly edge: EdgePlan
  readonly writer: RecordWriter
  readonly senders: readonly FrameSender[]
}

export interface WriterPlace {
  readonly vertex: VertexPlan
  /** Index of the subtask, or ordinal of a source's split. */
  readonly index: number
  /** Name of the subtask. */
  readonly from: string
  readonly attempt: number
  /** By channel ({@link channelOf}). */
  readonly outputs: Readonly<Record<string, OutputState>>
  readonly packing: FramePacking
  random(): number
}

/** Names a channel within the subtask that sends on it. */
export function channelOf({ edge, to }: { readonly edge: number; readonly to: number }): string {
  return `${edge}:${to}`
}

export function createStageWriters(job: CompiledJob, place: WriterPlace): StageWriter[] {
  return job.graph.edges.filter((edge) => edge.from === place.vertex.id).map((edge) => createWriter(job, edge, place))
}

/**
 * A stage without source sends along a forward edge to the subtask of its own index. The splits of a source come and go, so each is connected
 * with every subtask, and its ordinal says which one gets its records.
 */
function createWriter(job: CompiledJob, edge: EdgePlan, place: WriterPlace): StageWriter {
  const receiver = vertexOf(job.graph, edge.to)
  const forward = edge.partitioning === 'forward'
  const receivers = forward && !hasSource(place.vertex) ? [place.index] : Array.from({ length: receiver.parallelism }, (_, i) => i)
  const senders = receivers.map((to) => {
    const address = { attempt: place.attempt, edge: edge.index, from: place.from, to }
    return new FrameSender(address, place.outputs[channelOf(address)], place.packing)
  })
  if (forward) {
    const target = place.index % senders.length
    return { edge, senders, writer: new RecordWriter(() => target, senders, senders.length === 1) }
  }
  const single = receiver.parallelism === 1 && edge.partitioning !== 'custom'
  return { edge, senders, writer: new RecordWriter(partitionerOf(job, edge, place, receiver), senders, single) }
}

function partitionerOf(job: CompiledJob, edge: EdgePlan, place: WriterPlace, receiver: VertexPlan): Partitioner {
  const { inputs } = job.nodes.get(edge.to) as StreamNode
  const position = job.graph.edges.filter((e) => e.to === edge.to).findIndex((e) => e.index === edge.index)
  return createPartitioner(inputs[position].partitioning ?? { ...FORWARD, kind: edge.partitioning }, {
    subtask: place.index % place.vertex.parallelism, // there may be more splits
    parallelism: place.vertex.parallelism,
    receivers: receiver.parallelism,
    receiverMaxParallelism: receiver.maxParallelism,
    operator: receiver.operators[0],
    random: place.random,
  })
}
