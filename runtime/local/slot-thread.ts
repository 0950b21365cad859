import { CommandLineParameters, compileJob, type Job } from '../api/index.js'
import { CheckpointStore, readKeyedState, type SubtaskRestore } from '../checkpoint/index.js'
import { MillraceError, type ResourceBindings } from '../core/index.js'
import { type ChannelSender, createPartitioner, type Partitioner } from '../exchange/index.js'
import {
  type CompiledJob,
  type EdgePlan,
  FORWARD,
  guardKeys,
  type KeyTypesByUid,
  type OperatorPlan,
  type StreamNode,
  slotCount,
  slotOf,
  type VertexPlan,
  vertexOf,
} from '../plan/index.js'
import type { Clock } from '../ports/index.js'
import { buildChain, type ChainedOperator, type RestoredOperator } from '../task/operator-chain.js'
import { SubtaskProcessingTime } from '../task/processing-time.js'
import { RecordWriter } from '../task/record-writer.js'
import { ChannelQueue, type ChannelReceiver, type PeerMessage, type PostToPeer, RemoteChannelReceiver, RemoteChannelSender } from './channel.js'
import type { OpenBlobStore } from './checkpoint-folder.js'
import type { FromThread, ToThread } from './messages.js'
import { Subtask, type SubtaskOptions } from './subtask.js'
import { operatorSnapshot, subtaskSnapshot } from './thread-metrics.js'

/** What a thread is told when it starts; plain data, so that it crosses to workers. */
export interface ThreadDeployment {
  readonly thread: number
  readonly threads: number
  readonly attempt: number
  readonly parallelism: number | undefined
  readonly maxParallelism: number | undefined
  readonly parameters: Readonly<Record<string, string>>
  readonly bindings: ResourceBindings | undefined
  readonly checkpointDir: string | undefined
  readonly exactlyOnce: boolean
  readonly autoWatermarkIntervalMs: number
  readonly bufferTimeoutMs: number
  readonly restoredCheckpointId: number
  /** Folder whose segments the restore reads. */
  readonly restoreRoot: string | undefined
  /** By operator uid, then subtask. */
  readonly restore: ReadonlyMap<string, readonly SubtaskRestore[]>
  /** Of the keys that the job was started with state of. */
  readonly keyTypes: KeyTypesByUid
}

export interface ThreadEnvironment {
  readonly clock: Clock
  random(): number
  nonce(): string
  readonly openStore: OpenBlobStore
  send(message: FromThread): void
  postToPeer(thread: number): PostToPeer
  /** Messages of peers that have arrived and were not delivered yet; called at the start of each turn. */
  pollPeers(deliver: (message: PeerMessage) => void): void
  /** Blocks the thread for at most `ms`; less when a peer posts something, or has since `pollPeers`. */
  sleep(ms: number): void
  /** Resolves after pending I/O callbacks have run. */
  yieldToIo(): Promise<void>
}

/** Longest time between two looks at I/O, ms. */
const IO_INTERVAL_MS = 4
/** Timers of the event loop are up to a millisecond late; for what a source has due sooner than this the thread itself sleeps, ms. */
const LONGEST_SLEEP_MS = 1.5

/** One thread of the embedded cluster with its slots: subtask i of every vertex runs in slot i. */
export class SlotThread {
  readonly #subtasks: Subtask[] = []
  readonly #chains = new Map<Subtask, readonly ChainedOperator[]>()
  readonly #processingTimes: SubtaskProcessingTime[] = []
  readonly #queues = new Map<string, ChannelQueue>()
  readonly #senders = new Map<string, RemoteChannelSender>()
  readonly #receivers = new Map<string, RemoteChannelReceiver>()
  readonly #early: PeerMessage[] = []
  #closing = false
  #wake: (() => void) | undefined
  #loop: Promise<void> | undefined
  #starting: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(
    readonly job: Job,
    readonly deployment: ThreadDeployment,
    readonly environment: ThreadEnvironment,
  ) {}

  /** Builds and opens the subtasks, then runs them until `close`. */
  start(): Promise<void> {
    this.#starting = this.#start()
    return this.#starting
  }

  async #start(): Promise<void> {
    try {
      const { deployment } = this
      const slots = slotCount(this.#compile().graph)
      for (let slot = deployment.thread; slot < slots; slot += deployment.threads) await this.#buildSlot(slot)
      for (const subtask of this.#subtasks) {
        if (this.#closing) return
        await subtask.open()
      }
    } catch (error) {
      this.#fail(error)
      return
    }
    if (this.#closing) return
    this.environment.send({ kind: 'running' })
    this.#loop = this.#run().catch((error) => this.#fail(error))
  }

  /** Each slot describes the job anew, so that function objects belong to one subtask. */
  #compile(): CompiledJob {
    const { parallelism, maxParallelism, parameters, bindings, keyTypes } = this.deployment
    return guardKeys(compileJob(this.job, { parallelism, maxParallelism, parameters, bindings }), keyTypes)
  }

  async #buildSlot(slot: number): Promise<void> {
    const job = this.#compile()
    for (const vertex of job.graph.vertices) {
      const subtask = slot - slotOf(job.graph, vertex, 0)
      if (subtask >= 0 && subtask < vertex.parallelism) await this.#buildSubtask(job, vertex, subtask)
    }
  }

  async #buildSubtask(job: CompiledJob, vertex: VertexPlan, subtask: number): Promise<void> {
    const { deployment, environment } = this
    const processingTime = new SubtaskProcessingTime(environment.clock, () => this.wake())
    const writers = job.graph.edges
      .filter((edge) => edge.from === vertex.id)
      .map((edge) => ({ edge, writer: this.#writer(job, edge, vertex, subtask) }))
    const chain = buildChain({
      job,
      vertex,
      subtask,
      attempt: deployment.attempt,
      parameters: CommandLineParameters.from(deployment.parameters),
      processingTime,
      autoWatermarkIntervalMs: deployment.autoWatermarkIntervalMs,
      restoredCheckpointId: deployment.restoredCheckpointId,
      restored: await this.#restored(vertex, subtask),
      trackChanges: deployment.checkpointDir !== undefined,
      writers: groupWriters(writers),
      requestSplit: (uid) => environment.send({ kind: 'split-request', uid, subtask }),
      sendSourceEvent: (uid, event) => environment.send({ kind: 'source-event', uid, subtask, event }),
      reportWatermark: (uid, watermark) => environment.send({ kind: 'source-watermark', uid, subtask, watermark }),
      emitToClient: (name, values, batch) => environment.send({ kind: 'collected', name, values, batch }),
      fail: (error) => this.#fail(error),
    })
    const built = new Subtask({
      vertex,
      subtask,
      chain,
      ...this.#channels(job, vertex, subtask),
      writers: writers.map(({ writer }) => writer),
      exactlyOnce: deployment.exactlyOnce,
      processingTime,
      node: job.nodes.get(vertex.id) as StreamNode,
      segmentWriter: (uid, checkpointId, target) => {
        const store = this.#store(target.kind === 'savepoint' ? target.path : (deployment.checkpointDir as string))
        return (bytes) => store.writeSegment(uid, subtask, checkpointId, bytes)
      },
      send: environment.send,
      wake: () => this.wake(),
    })
    this.#processingTimes.push(processingTime)
    this.#subtasks.push(built)
    this.#chains.set(built, chain)
  }

  #store(root: string): CheckpointStore {
    return new CheckpointStore(this.environment.openStore(root), { root, newNonce: () => this.environment.nonce() })
  }

  async #restored(vertex: VertexPlan, subtask: number): Promise<Map<string, RestoredOperator>> {
    const { restore, restoreRoot } = this.deployment
    const restored = new Map<string, RestoredOperator>()
    if (restoreRoot === undefined) return restored
    const store = this.#store(restoreRoot)
    for (const { uid } of vertex.operators) {
      const state = restore.get(uid)?.[subtask]
      if (state === undefined) continue
      restored.set(uid, { segments: await readKeyedState(state.keyed, (ref) => store.readSegment(ref)), operatorState: state.operatorState })
    }
    return restored
  }

  #writer(job: CompiledJob, edge: EdgePlan, vertex: VertexPlan, subtask: number): RecordWriter {
    const to = vertexOf(job.graph, edge.to)
    if (edge.partitioning === 'forward') return new RecordWriter(() => 0, [this.#sender(job, edge, subtask, subtask)], true)
    const channels = Array.from({ length: to.parallelism }, (_, receiver) => this.#sender(job, edge, subtask, receiver))
    return new RecordWriter(this.#partitioner(job, edge, vertex, subtask, to), channels, to.parallelism === 1 && edge.partitioning !== 'custom')
  }

  #partitioner(job: CompiledJob, edge: EdgePlan, vertex: VertexPlan, subtask: number, to: VertexPlan): Partitioner {
    const inputs = (job.nodes.get(edge.to) as StreamNode).inputs
    const position = job.graph.edges.filter((e) => e.to === edge.to).findIndex((e) => e.index === edge.index)
    const partitioning = inputs[position].partitioning
    return createPartitioner(partitioning === undefined ? { ...FORWARD, kind: edge.partitioning } : partitioning, {
      subtask,
      parallelism: vertex.parallelism,
      receivers: to.parallelism,
      receiverMaxParallelism: to.maxParallelism,
      operator: to.operators[0],
      random: this.environment.random,
    })
  }

  /** The thread that runs a subtask's slot. */
  #threadOf({ graph }: CompiledJob, vertex: string, subtask: number): number {
    return slotOf(graph, vertexOf(graph, vertex), subtask) % this.deployment.threads
  }

  #sender(job: CompiledJob, edge: EdgePlan, from: number, to: number): ChannelSender {
    const name = channelName(edge, from, to)
    const thread = this.#threadOf(job, edge.to, to)
    if (thread === this.deployment.thread) return this.#queue(name)
    const operator = vertexOf(job.graph, edge.from).operators.find(({ uid }) => uid === edge.fromOperator) as OperatorPlan
    const remote = new RemoteChannelSender(name, this.environment.postToPeer(thread), operator)
    this.#senders.set(name, remote)
    return remote
  }

  #channels(job: CompiledJob, vertex: VertexPlan, subtask: number): Pick<SubtaskOptions, 'channels' | 'inputs' | 'edges'> {
    const channels: ChannelReceiver[] = []
    const edges: number[] = []
    const inputs: number[] = []
    for (const edge of job.graph.edges.filter((e) => e.to === vertex.id)) {
      const senders = edge.partitioning === 'forward' ? [subtask] : Array.from({ length: vertexOf(job.graph, edge.from).parallelism }, (_, i) => i)
      for (const from of senders) {
        channels.push(this.#receiver(job, edge, from, subtask))
        inputs.push(edge.input)
        edges.push(edge.index)
      }
    }
    return { channels, inputs, edges }
  }

  #receiver(job: CompiledJob, edge: EdgePlan, from: number, to: number): ChannelReceiver {
    const name = channelName(edge, from, to)
    const thread = this.#threadOf(job, edge.from, from)
    if (thread === this.deployment.thread) return this.#queue(name)
    const receiver = new RemoteChannelReceiver(name, this.environment.postToPeer(thread))
    this.#receivers.set(name, receiver)
    return receiver
  }

  #queue(name: string): ChannelQueue {
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      queue = new ChannelQueue()
      this.#queues.set(name, queue)
    }
    return queue
  }

  // --- running ---------------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    const { clock } = this.environment
    for (const message of this.#early.splice(0)) this.#deliver(message)
    const deliver = (message: PeerMessage) => this.#deliver(message)
    let lastIo = clock.monotonic()
    let lastFlush = lastIo
    while (!this.#closing) {
      this.environment.pollPeers(deliver)
      let progressed = false
      // What has arrived is processed, last vertex first, before a source reads on.
      for (let i = this.#subtasks.length - 1; i >= 0; i--) if (this.#subtasks[i].turn()) progressed = true
      const now = clock.monotonic()
      if (!progressed || now - lastFlush >= this.deployment.bufferTimeoutMs) {
        lastFlush = now
        for (const subtask of this.#subtasks) if (subtask.flush()) progressed = true
      }
      if (!progressed && !this.#sleep()) await this.#waitForWork()
      else if (now - lastIo >= IO_INTERVAL_MS) {
        await this.environment.yieldToIo()
        lastIo = clock.monotonic()
      }
    }
  }

  /** Sleeps until the record of a source is due, if that is so soon that a timer would be late; a peer's message ends the sleep. */
  #sleep(): boolean {
    const untilDue = this.#untilDue()
    if (untilDue > LONGEST_SLEEP_MS) return false
    const sleepMs = Math.min(untilDue, this.#untilTimer())
    if (sleepMs > 0) this.environment.sleep(sleepMs)
    return true
  }

  /** How long until a source's next record is due, ms. */
  #untilDue(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const subtask of this.#subtasks) dueMs = Math.min(dueMs, subtask.dueMs)
    return dueMs - this.environment.clock.monotonic()
  }

  /** How long until the next processing-time callback is due, ms. */
  #untilTimer(): number {
    let next = Number.POSITIVE_INFINITY
    for (const time of this.#processingTimes) next = Math.min(next, time.nextTime)
    return next - this.environment.clock.now()
  }

  #waitForWork(): Promise<void> {
    return new Promise((resolve) => {
      const wait = Math.min(this.#untilTimer(), this.#untilDue() - LONGEST_SLEEP_MS, 1_000)
      const timer = setTimeout(() => this.wake(), Math.max(0, wait))
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
    })
  }

  /** Something may have become possible. */
  wake(): void {
    this.#wake?.()
  }

  #deliver(message: PeerMessage): void {
    if ('taken' in message) this.#senders.get(message.channel)?.taken(message.taken)
    else this.#receivers.get(message.channel)?.receive(message)
  }

  /** A peer's message that came before this thread's channels were built. */
  receiveEarly(message: PeerMessage): void {
    this.#early.push(message)
  }

  handle(message: ToThread): void {
    try {
      this.#handle(message)
    } catch (error) {
      this.#fail(error)
    }
    this.wake()
  }

  #handle(message: ToThread): void {
    switch (message.kind) {
      case 'trigger':
        for (const subtask of this.#subtasks) subtask.trigger(message.checkpointId, message.target, message.stop)
        break
      case 'complete':
        for (const subtask of this.#subtasks) subtask.complete(message.checkpointId).catch((error) => this.#fail(error))
        break
      case 'abort':
        for (const subtask of this.#subtasks) subtask.abort(message.checkpointId)
        break
      case 'assign':
        this.#source(message.uid, message.subtask)?.addSplits([message.split as never])
        break
      case 'no-more-splits':
        this.#source(message.uid, message.subtask)?.notifyNoMoreSplits()
        break
      case 'watermark-limit':
        this.#limitSources(message.group, message.limit)
        break
      case 'drain':
        for (const subtask of this.#subtasks) subtask.drain()
        break
      case 'metrics':
        this.#reportMetrics(message.request)
        break
      case 'close':
        this.#closed ??= this.#close()
    }
  }

  #limitSources(group: string, limit: number): void {
    for (const { source } of this.#subtasks) if (source?.strategy.alignment?.group === group) source.watermarkLimit = limit
  }

  #source(uid: string, subtask: number) {
    return this.#subtasks.find((s) => s.options.subtask === subtask && s.options.vertex.id === uid)?.source
  }

  #reportMetrics(request: number): void {
    const now = this.environment.clock.now()
    this.environment.send({
      kind: 'metrics',
      request,
      operators: this.#subtasks.flatMap((subtask) => (this.#chains.get(subtask) ?? []).map((chained) => operatorSnapshot(subtask, chained, now))),
      subtasks: this.#subtasks.map(subtaskSnapshot),
    })
  }

  #fail(error: unknown): void {
    if (this.#closing) return
    this.#closing = true
    this.wake()
    const failure = MillraceError.from(error, 'USER_FUNCTION', { what: 'the job failed' })
    this.environment.send({ kind: 'failed', error: failure.toPlain() })
  }

  async #close(): Promise<void> {
    this.#closing = true
    this.wake()
    await this.#starting
    await this.#loop
    for (const subtask of this.#subtasks) {
      await subtask.close().catch(() => {}) // the job is over; what matters was committed or reported before
    }
    this.environment.send({ kind: 'closed' })
  }
}

function groupWriters(writers: readonly { readonly edge: EdgePlan; readonly writer: RecordWriter }[]) {
  const grouped = new Map<string, { readonly sideTag: string | null; readonly writer: RecordWriter }[]>()
  for (const { edge, writer } of writers) {
    const list = grouped.get(edge.fromOperator) ?? []
    list.push({ sideTag: edge.sideTag, writer })
    grouped.set(edge.fromOperator, list)
  }
  return grouped
}

function channelName(edge: EdgePlan, from: number, to: number): string {
  return `${edge.index}:${from}:${to}`
}
