import { CommandLineParameters, type EnvironmentDefaults, type Job, StreamExecutionEnvironment } from '../api/index.js'
import type { JobParameters } from '../core/index.js'
import { type ChannelSender, createPartitioner, type Partitioner, type StreamElement } from '../exchange/index.js'
import { type CompiledJob, compile, type EdgePlan, FORWARD, type StreamNode, type VertexPlan, vertexOf } from '../plan/index.js'
import { buildChain, type RestoredOperator } from '../task/operator-chain.js'
import { SubtaskProcessingTime } from '../task/processing-time.js'
import { DirectChannel, DirectWriter } from './direct-writer.js'
import { DrivenSubtask } from './driven-subtask.js'
import { ManualClock } from './manual-clock.js'
import { CaptureOperator, type OutputItem } from './output-item.js'
import { ScriptedInputOperator } from './scripted-input-operator.js'

export interface CompileOptions extends EnvironmentDefaults {
  /** Overrides whether the job chains its operators. */
  readonly chaining?: boolean | undefined
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
      const driven = buildSubtask(own, vertex, subtask, { ...links, parameters }, (id, index) => built.get(`${id}/${index}`) as DrivenSubtask)
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
  links: DriverLinks & { readonly parameters: JobParameters },
  find: (vertex: string, subtask: number) => DrivenSubtask,
): DrivenSubtask {
  const clock = new ManualClock(links.processingTime)
  const processingTime = new SubtaskProcessingTime(clock)
  const writers = job.graph.edges
    .filter((edge) => edge.from === vertex.id)
    .map((edge) => ({ edge, writer: directWriter(job, edge, vertex, subtask, find) }))
  const byOperator = new Map<string, { readonly sideTag: string | null; readonly writer: DirectWriter }[]>()
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
  const channels = [0, 1].map((input) => channelsOf(job, vertex, input)) as [number, number]
  const node = job.nodes.get(vertex.id) as StreamNode
  return new DrivenSubtask({ vertex, subtask, chain, node, channels, writers: writers.map(({ writer }) => writer), clock, processingTime })
}

function edgesTo(job: CompiledJob, vertex: VertexPlan, input: number): EdgePlan[] {
  return job.graph.edges.filter((edge) => edge.to === vertex.id && edge.input === input)
}

/** How many channels one edge gives to each receiving subtask. */
function channelsOfEdge(job: CompiledJob, edge: EdgePlan): number {
  return edge.partitioning === 'forward' ? 1 : vertexOf(job.graph, edge.from).parallelism
}

function channelsOf(job: CompiledJob, vertex: VertexPlan, input: number): number {
  return edgesTo(job, vertex, input).reduce((sum, edge) => sum + channelsOfEdge(job, edge), 0)
}

function directWriter(
  job: CompiledJob,
  edge: EdgePlan,
  from: VertexPlan,
  subtask: number,
  find: (vertex: string, subtask: number) => DrivenSubtask,
): DirectWriter {
  const to = vertexOf(job.graph, edge.to)
  const before = edgesTo(job, to, edge.input).filter(({ index }) => index < edge.index)
  const firstChannel = before.reduce((sum, other) => sum + channelsOfEdge(job, other), 0)
  const channelTo = (receiver: number): ChannelSender => {
    const channel = firstChannel + (edge.partitioning === 'forward' ? 0 : subtask)
    return new DirectChannel((element: StreamElement) => find(to.id, receiver).receive(edge.input, channel, element))
  }
  if (edge.partitioning === 'forward') return new DirectWriter(() => 0, [channelTo(subtask)])
  const receivers = Array.from({ length: to.parallelism }, (_, receiver) => channelTo(receiver))
  return new DirectWriter(partitionerOf(job, edge, from, subtask, to), receivers)
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
