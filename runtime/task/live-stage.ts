import { assert, type JobParameters, MIN_WATERMARK, MillraceError } from '../core/index.js'
import type { SourceOperator } from '../operators/source-operator.js'
import type { CompiledJob, StreamNode, VertexPlan } from '../plan/index.js'
import type { Clock } from '../ports/index.js'
import type { DecodedSegment } from '../state/index.js'
import { BatchProcessingTime } from './batch-processing-time.js'
import { type CommitRecord, NOTHING } from './commit-record.js'
import { HeadInput } from './head-input.js'
import { InputChannels, type InputListener } from './input-channels.js'
import { buildChain, type ChainedOperator } from './operator-chain.js'
import type { Outbox } from './outbox.js'
import { OutboxSinkOperator, type SinkBatch } from './outbox-sink-operator.js'
import type { StreamRecord } from './record-stream-source.js'
import { bindStage, notOnAws, type StageOperators } from './stage-operators.js'
import { StageSink } from './stage-sinks.js'
import { channelOf, createStageWriters, type StageWriter } from './stage-writers.js'
import { SubtaskRuntimeContext } from './subtask-runtime-context.js'

export interface LiveStageOptions {
  /** Described anew for each cold start, so that function objects belong to one. */
  readonly job: CompiledJob
  readonly vertex: VertexPlan
  readonly subtask: number
  readonly attempt: number
  readonly parameters: JobParameters
  readonly clock: Clock
  random(): number
}

/** What the log says at a cold start. */
export interface Recovered {
  readonly version: number
  readonly head: CommitRecord | undefined
  /** By uid, in the order in which they were written. */
  readonly segments: ReadonlyMap<string, readonly DecodedSegment[]>
  /** Frames that came and wait. */
  readonly stash: readonly Uint8Array[]
}

/** Watermarks at the end of each batch; the interval does not matter. */
const AUTO_WATERMARK_INTERVAL_MS = 200

/**
 * A stage's subtask in memory, as of one version of its log and with what the commit under way adds. It only computes; a commit that fails
 * or loses leaves it behind for good.
 */
export class LiveStage {
  version: number
  head: CommitRecord | undefined
  position: bigint | undefined
  splitId: string | null
  /** The next commit must hold the whole state. */
  needsBase = false
  readonly time: BatchProcessingTime
  readonly input: InputChannels | undefined
  readonly sinks: ReadonlyMap<string, StageSink>
  readonly chain: readonly ChainedOperator[]
  #epoch: number
  readonly #bound: StageOperators
  readonly #writers: readonly StageWriter[]
  readonly #head: HeadInput
  #failure: unknown

  private constructor(
    readonly options: LiveStageOptions,
    recovered: Recovered,
  ) {
    const { vertex, subtask, attempt } = options
    const known = recovered.head ?? NOTHING
    this.version = recovered.version
    this.head = recovered.head
    this.position = known.position === null ? undefined : BigInt(known.position)
    this.splitId = known.splitId
    this.#epoch = known.epoch
    this.time = new BatchProcessingTime(options.clock)
    this.time.enter(known.lastNow)
    this.#bound = bindStage(options.job, vertex)
    this.#writers = createStageWriters(options.job, { vertex, subtask, attempt, nextSeq: known.nextSeq, random: options.random })
    this.chain = this.#buildChain(recovered.segments)
    this.sinks = this.#openSinks()
    this.#head = new HeadInput(this.chain[0], options.job.nodes.get(vertex.id) as StreamNode)
    this.input =
      this.#bound.source === undefined
        ? new InputChannels(options.job.graph, vertex, subtask, attempt, known.epoch, known.input, known.channels, this.#listener())
        : undefined
  }

  static async open(options: LiveStageOptions, recovered: Recovered): Promise<LiveStage> {
    const stage = new LiveStage(options, recovered)
    for (const { operator, plan } of [...stage.chain].reverse()) {
      try {
        await operator.open([])
      } catch (thrown) {
        throw MillraceError.from(thrown, 'USER_FUNCTION', { what: 'open() threw', where: `operator "${plan.name}" (uid ${plan.uid})`, uid: plan.uid })
      }
    }
    stage.#resume(recovered)
    return stage
  }

  #buildChain(segments: Recovered['segments']): readonly ChainedOperator[] {
    const { vertex, subtask, attempt, parameters, job } = this.options
    const writers = new Map<string, { readonly sideTag: string | null; readonly writer: StageWriter['writer'] }[]>()
    for (const { edge, writer } of this.#writers) {
      writers.set(edge.fromOperator, [...(writers.get(edge.fromOperator) ?? []), { sideTag: edge.sideTag, writer }])
    }
    return buildChain({
      job: { graph: job.graph, nodes: this.#bound.job.nodes },
      vertex,
      subtask,
      attempt,
      parameters,
      processingTime: this.time,
      autoWatermarkIntervalMs: AUTO_WATERMARK_INTERVAL_MS,
      restoredCheckpointId: 0,
      restored: new Map([...segments].map(([uid, decoded]) => [uid, { segments: decoded, operatorState: [] }])),
      trackChanges: true,
      writers,
      requestSplit: () => {},
      emitToClient: () => assert(false, 'sinks with a committer do not run in stages'),
      fail: (error) => {
        this.#failure ??= error
      },
    })
  }

  #openSinks(): ReadonlyMap<string, StageSink> {
    const { vertex, subtask, attempt, parameters, job, clock } = this.options
    const { parallelism, maxParallelism } = vertex
    const sinks = new Map<string, StageSink>()
    for (const { plan, metrics } of this.chain) {
      const sink = this.#bound.sinks.get(plan.uid)
      if (sink === undefined) continue
      const place = { uid: plan.uid, name: plan.name, subtaskIndex: subtask, parallelism, maxParallelism, attemptNumber: attempt }
      const runtime = new SubtaskRuntimeContext(job.graph.job, place, parameters, metrics, undefined)
      sinks.set(plan.uid, new StageSink(sink, { uid: plan.uid, name: plan.name, subtask, parallelism, runtime, clock }))
    }
    return sinks
  }

  /**
   * Puts the operators where the log says they were: watermarks as far as they had come, early frames in their channels. A timer that was
   * registered for a time already past waits for the next watermark, which is this one; what it emits belongs to the next commit.
   */
  #resume({ head, stash }: Recovered): void {
    for (const { keyed } of this.chain) {
      // Restored timers went into the queues as new ones; the log has them.
      keyed?.backend.eventTimers.takeChanges()
      keyed?.backend.processingTimers.takeChanges()
      // An operator that arranged its state anew has changed timers too, which cannot be told from the restored ones.
      if (keyed?.backend.snapshotChanges() !== undefined) this.needsBase = true
    }
    if (head !== undefined) {
      if (head.input.watermark > MIN_WATERMARK) this.#head.processWatermark(head.input.watermark, 0)
      if (head.input.idle) this.#head.processStatus(true, 0)
      for (const [uid, progress] of Object.entries(head.origins)) this.#bound.origins.get(uid)?.restore(progress)
    }
    for (const { writer, senders } of this.#writers) {
      writer.flush()
      for (const sender of senders) sender.forgetProgress()
    }
    for (const bytes of stash) this.input?.accept(bytes, 'a frame in the log')
    this.input?.takeStashed(false)
  }

  #listener(): InputListener {
    return {
      processBatch: (batch) => this.#head.processBatch(batch, 0),
      processWatermark: (watermark) => this.#head.processWatermark(watermark, 0),
      processStatus: (idle) => this.#head.processStatus(idle, 0),
    }
  }

  get source(): StageOperators['source'] {
    return this.#bound.source
  }

  get epoch(): number {
    return this.input?.epoch ?? this.#epoch
  }

  // --- input -------------------------------------------------------------------------------------------------------------

  /** Puts a record of the stream outside into the source. */
  readRecord(record: StreamRecord, splitId: string): void {
    const { uid, source } = this.#bound.source as NonNullable<StageOperators['source']>
    const operator = this.chain[0].operator as unknown as SourceOperator<unknown, never>
    let element: unknown
    try {
      element = source.deserialize(record.data, {
        splitId,
        position: record.position,
        partitionKey: record.partitionKey,
        arrivalMs: record.arrivalMs,
      })
    } catch (thrown) {
      throw MillraceError.from(thrown, 'RECORD_MALFORMED', {
        what: `deserialize() threw for record ${record.position} of ${splitId}`,
        where: `stream "${source.stream}"`,
        todo: 'Return something for each record, such as { error }, and put it to a side output.',
        uid,
      })
    }
    operator.collect(element, record.arrivalMs, splitId)
  }

  /** Periodic watermarks. Throws what an asynchronous part of an operator reported, and PLAN_INVALID for timers nobody would wake. */
  endOfBatch(): void {
    this.time.endOfBatch()
    if (this.#failure !== undefined) throw this.#failure
    for (const { plan, keyed, operator } of this.chain) {
      if (keyed !== undefined && keyed.backend.processingTimers.size > 0) {
        throw notOnAws(plan, 'it registered a processing-time timer, and nothing would wake it', 'Use event time.')
      }
      if (operator instanceof OutboxSinkOperator || plan.isSource) continue
      const state = operator.snapshotState(this.epoch)
      if (!Array.isArray(state) || state.length > 0) throw notOnAws(plan, 'it has operator state', 'Use keyed state.')
    }
  }

  // --- output ------------------------------------------------------------------------------------------------------------

  /** Everything for other stages since the last call, at the epoch it was made in. */
  takeFrames(): Outbox['frames'][number][] {
    return this.#writers.flatMap(({ edge, writer, senders }) => {
      writer.flush()
      return senders.flatMap((sender) => sender.close(this.epoch).map((bytes) => ({ stage: edge.to, to: sender.address.to, bytes })))
    })
  }

  /** Enters the epoch: everything after the barriers belongs to it. */
  enterEpoch(epoch: number): Outbox['frames'][number][] {
    this.#epoch = epoch
    if (this.input !== undefined) this.input.epoch = epoch
    return this.#writers.flatMap(({ edge, senders }) =>
      senders.flatMap((sender) => sender.barrier(epoch).map((bytes) => ({ stage: edge.to, to: sender.address.to, bytes }))),
    )
  }

  takeSinkBatches(): (readonly [string, SinkBatch])[] {
    return this.chain.flatMap(({ plan, operator }) => {
      const batch = operator instanceof OutboxSinkOperator ? operator.take() : undefined
      return batch === undefined ? [] : [[plan.uid, batch] as const]
    })
  }

  /** Everything keyed (`whole`), or what changed since the last call: segments by uid. Throws STATE_UNSERIALISABLE. */
  takeSegments(whole: boolean): (readonly [string, Uint8Array])[] {
    return this.chain.flatMap(({ plan, keyed }) => {
      const bytes = whole ? keyed?.backend.snapshotAll() : keyed?.backend.snapshotChanges()
      return bytes === undefined ? [] : [[plan.uid, bytes] as const]
    })
  }

  get operatorStates(): readonly { readonly uid: string; readonly operatorState: readonly unknown[] }[] {
    const split = this.position === undefined ? [] : [{ splitId: this.splitId, position: this.position }]
    return this.chain.map(({ plan }) => ({ uid: plan.uid, operatorState: plan.isSource ? split : [] }))
  }

  /** The record of the commit under way but for what is stored apart. */
  get facts(): Omit<CommitRecord, 'format' | 'plan' | 'kind' | 'base' | 'deltas' | 'stash' | 'outbox'> {
    return {
      attempt: this.options.attempt,
      position: this.position === undefined ? null : String(this.position),
      splitId: this.splitId,
      epoch: this.epoch,
      lastNow: this.time.clock.now(),
      channels: this.input?.states ?? {},
      input: this.input?.progress ?? NOTHING.input,
      nextSeq: Object.fromEntries(this.#writers.flatMap(({ senders }) => senders.map((sender) => [channelOf(sender.address), sender.nextSeq]))),
      origins: Object.fromEntries([...this.#bound.origins].map(([uid, { progress }]) => [uid, progress])),
    }
  }

  async close(): Promise<void> {
    for (const { operator } of this.chain) await operator.close()
    for (const sink of this.sinks.values()) await sink.close()
  }
}
