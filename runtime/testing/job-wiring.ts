import { CommandLineParameters, type EnvironmentDefaults, type Job, StreamExecutionEnvironment } from '../api/index.js'
import type { JobParameters } from '../core/index.js'
import { type ChannelSender, createPartitioner, type Partitioner } from '../exchange/index.js'
import { type CompiledJob, compile, type EdgePlan, FORWARD, type StreamNode, type VertexPlan, vertexOf } from '../plan/index.js'
import { buildChain, type RestoredOperator } from '../task/operator-chain.js'
import { SubtaskProcessingTime } from '../task/processing-time.js'
import { RecordWriter } from '../task/record-writer.js'
import { DirectChannel, DirectWriter } from './direct-writer.js'
import { DrivenSubtask } from './driven-subtask.js'
import { ManualClock } from './manual-clock.js'
import { CaptureOperator, type OutputItem } from './output-item.js'
import { ScriptedInputOperator } from './scripted-input-operator.js'

export interface CompileOptions extends EnvironmentDefaults {
  /** Overrides whether the job chains its operators. */
  readonly chaining?: boolean | undefined
  /** Records wait in batches, as between real subtasks, until a watermark follows them or {@link JobDriver.flush}. Default false. */
  readonly batching?: boolean | undefined
}

/** What the driver lends to the subtasks. */
export interface DriverLinks {
  readonly autoWatermarkIntervalMs: number
  readonly processingTime: number
  readonly restoredCheckpointId: number
  restored(subtask: number): ReadonlyMap<string, RestoredOperator>
  /** Everything that reaches a sink. */
  note(uid: string, item: OutputItem): void
  fail(error: unknown): void
}

interface SubtaskLinks extends DriverLinks {
  readonly parameters: JobParameters
  readonly batching: boolean
}

export interface WiredJob {
  readonly job: CompiledJob
  /** In topological order of their vertices. */
  readonly subtasks: readonly DrivenSubtask[]
}

/** Describes and compiles the job, with scripted inputs in place of its sources and captures in place of its sinks. */
export function compileForTest(job: Job, options: CompileOptions, note: DriverLinks['note']): CompiledJob {
  const env = new StreamExecutionEnvironment(job.name, options)
  job.define(env)
  const stream = env.streamGraph()
  const { graph, nodes } = compile({ ...stream, chainingEnabled: options.chaining ?? stream.chainingEnabled })
  const replaced = new Map(nodes)
  for (const [uid, node] of nodes) {
    if (node.source !== undefined) replaced.set(uid, { ...node, source: undefined, createOperator: () => new ScriptedInputOperator() })
    else if (node.isSink) replaced.set(uid, { ...node, createOperator: () => new CaptureOperator((item) => note(uid, item)) })
  }
  return { graph, nodes: replaced }
}

/** All subtasks of a job, joined by channels without queues. */
export function wireJob(job: Job, options: CompileOptions, links: DriverLinks): WiredJob {
  const compiled = compileForTest(job, options, links.note)
  const built = new Map<string, DrivenSubtask>()
  const subtasks: DrivenSubtask[] = []
  for (const vertex of compiled.graph.vertices) {
    for (let subtask = 0; subtask < vertex.parallelism; subtask++) {
      // Each subtask describes the job anew, so that function objects belong to one subtask.
      const own = subtasks.length === 0 ? compiled : compileForTest(job, options, links.note)
      const parameters = CommandLineParameters.from(options.parameters)
      const driven = buildSubtask(
        own,
        vertex,
        subtask,
        { ...links, parameters, batching: options.batching === true },
        (id, index) => built.get(`${id}/${index}`) as DrivenSubtask,
      )
      built.set(`${vertex.id}/${subtask}`, driven)
      subtasks.push(driven)
    }
  }
  return { job: compiled, subtasks }
}

function buildSubtask(
  job: CompiledJob,
  vertex: VertexPlan,
  subtask: number,
  links: SubtaskLinks,
  find: (vertex: string, subtask: number) => DrivenSubtask,
): DrivenSubtask {
  const clock = new ManualClock(links.processingTime)
  const processingTime = new SubtaskProcessingTime(clock)
  const writers = job.graph.edges
    .filter((edge) => edge.from === vertex.id)
    .map((edge) => ({ edge, writer: writerOf(job, edge, vertex, subtask, links, find) }))
  const byOperator = new Map<string, { readonly sideTag: string | null; readonly writer: RecordWriter }[]>()
  for (const { edge, writer } of writers) {
    byOperator.set(edge.fromOperator, [...(byOperator.get(edge.fromOperator) ?? []), { sideTag: edge.sideTag, writer }])
  }
  const chain = buildChain({
    job,
    vertex,
    subtask,
    attempt: 0,
    parameters: links.parameters,
    processingTime,
    autoWatermarkIntervalMs: links.autoWatermarkIntervalMs,
    restoredCheckpointId: links.restoredCheckpointId,
    restored: links.restored(subtask),
    trackChanges: true,
    writers: byOperator,
    requestSplit: () => {},
    emitToClient: () => {},
    fail: links.fail,
  })
  const node = job.nodes.get(vertex.id) as StreamNode
  return new DrivenSubtask({
    vertex,
    subtask,
    chain,
    node,
    edges: [channelEdges(job, vertex, 0), channelEdges(job, vertex, 1)],
    writers: writers.map(({ writer }) => writer),
    clock,
    processingTime,
  })
}

function edgesTo(job: CompiledJob, vertex: VertexPlan, input: number): EdgePlan[] {
  return job.graph.edges.filter((edge) => edge.to === vertex.id && edge.input === input)
}

/** How many channels one edge gives to each receiving subtask. */
function channelsOfEdge(job: CompiledJob, edge: EdgePlan): number {
  return edge.partitioning === 'forward' ? 1 : vertexOf(job.graph, edge.from).parallelism
}

/** The edge of each channel of an input. */
function channelEdges(job: CompiledJob, vertex: VertexPlan, input: number): number[] {
  return edgesTo(job, vertex, input).flatMap((edge) => Array.from({ length: channelsOfEdge(job, edge) }, () => edge.index))
}

function writerOf(
  job: CompiledJob,
  edge: EdgePlan,
  from: VertexPlan,
  subtask: number,
  links: SubtaskLinks,
  find: (vertex: string, subtask: number) => DrivenSubtask,
): RecordWriter {
  const to = vertexOf(job.graph, edge.to)
  const before = edgesTo(job, to, edge.input).filter(({ index }) => index < edge.index)
  const firstChannel = before.reduce((sum, other) => sum + channelsOfEdge(job, other), 0)
  const channelTo = (receiver: number): ChannelSender => {
    const channel = firstChannel + (edge.partitioning === 'forward' ? 0 : subtask)
    return new DirectChannel((element) => find(to.id, receiver).receive(edge.input, channel, element))
  }
  const forward = edge.partitioning === 'forward'
  const receivers = forward ? [channelTo(subtask)] : Array.from({ length: to.parallelism }, (_, receiver) => channelTo(receiver))
  const partition = forward ? () => 0 : partitionerOf(job, edge, from, subtask, to)
  return links.batching ? new RecordWriter(partition, receivers, forward) : new DirectWriter(partition, receivers)
}

function partitionerOf(job: CompiledJob, edge: EdgePlan, from: VertexPlan, subtask: number, to: VertexPlan): Partitioner {
  const { inputs } = job.nodes.get(edge.to) as StreamNode
  const position = job.graph.edges.filter((other) => other.to === edge.to).findIndex((other) => other.index === edge.index)
  const { partitioning } = inputs[position]
  let drawn = 0
  return createPartitioner(partitioning ?? { ...FORWARD, kind: edge.partitioning }, {
    subtask,
    parallelism: from.parallelism,
    receivers: to.parallelism,
    receiverMaxParallelism: to.maxParallelism,
    operator: to.operators[0],
    // Golden-ratio steps: spread like chance, and the same in each run.
    random: () => (++drawn * 0.6180339887498949) % 1,
  })
}
