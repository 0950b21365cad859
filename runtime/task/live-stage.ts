import type { StageAck } from '../checkpoint/stage-ack.js'
import { assert, type JobParameters, MAX_WATERMARK, MillraceError } from '../core/index.js'
import { RecordBatch } from '../exchange/index.js'
import type { SourceOperator } from '../operators/source-operator.js'
import type { CompiledJob, StreamNode, VertexPlan } from '../plan/index.js'
import type { Successor } from '../ports/index.js'
import { type KeyedStateBackend, pack } from '../state/index.js'
import type { BatchProcessingTime } from './batch-processing-time.js'
import type { CommitRecord } from './commit-record.js'
import type { FramePacking } from './frame-sender.js'
import { HeadInput } from './head-input.js'
import { type FrameOrigin, InputChannels, type InputListener } from './input-channels.js'
import { buildChain, type ChainedOperator } from './operator-chain.js'
import type { OutgoingFrame, SinkEntry } from './outbox.js'
import { HeldSinkOperator, OutboxSinkOperator } from './outbox-sink-operator.js'
import type { StreamRecord } from './record-stream-source.js'
import type { WatermarkProgress } from './rising-output.js'
import { sinkWriterName } from './stage-names.js'
import { bindStage, notOnAws, type StageOperators } from './stage-operators.js'
import type { DeadLetter, StageEvent } from './stage-ports.js'
import type { RecoveredState } from './stage-recovery.js'
import { StageSink } from './stage-sinks.js'
import { channelOf, createStageWriters, type StageWriter } from './stage-writers.js'
import { SubtaskRuntimeContext } from './subtask-runtime-context.js'

export interface LiveStageOptions {
  /** Described anew for each opening, so that function objects belong to one. */
  readonly job: CompiledJob
  readonly vertex: VertexPlan
  /** Name of the subtask. */
  readonly subtask: string
  readonly parameters: JobParameters
  readonly time: BatchProcessingTime
  readonly packing: FramePacking
  random(): number
  count(event: StageEvent, times?: number): void
}

/** A record that a function threw for, by where it stood. */
export interface FailedRecord {
  /** Names the record; the same after a cold start. */
  readonly id: string
  readonly record: unknown
}

/** Watermarks at the end of each batch; the interval does not matter. */
const AUTO_WATERMARK_INTERVAL_MS = 200

/**
 * A stage's subtask in memory, as of one version of its log and with what the commit under way adds. It only computes; a commit that fails
 * or loses leaves it behind for good.
 */
export class LiveStage {
  position: bigint | undefined
  /** The next commit must hold the whole state. */
  needsBase = false
  readonly input: InputChannels | undefined
  readonly sinks: ReadonlyMap<string, StageSink>
  readonly chain: readonly ChainedOperator[]
  /** Records that failed before and go to the dead letters, with the error; and frames to be taken record by record, to find the one that fails. */
  skips: ReadonlyMap<string, string> = new Map()
  #batch: (FailedRecord & { readonly precise: boolean }) | undefined
  #record: StreamRecord | undefined
  #letters: DeadLetter[] = []
  #epoch: number
  readonly #index: number
  readonly #attempt: number
  readonly #bound: StageOperators
  readonly #writers: readonly StageWriter[]
  readonly #head: HeadInput
  /** What the inputs were before the watermark whose timers are still firing, and what the head had let through. */
  #sweep: Pick<CommitRecord, 'inputs' | 'head'> | null
  #failure: unknown

  private constructor(
    readonly options: LiveStageOptions,
    readonly recovered: RecoveredState,
  ) {
    const { job, vertex, subtask, packing, random } = options
    const { head } = recovered
    this.position = head.position === null ? undefined : BigInt(head.position)
    this.#epoch = head.epoch
    this.#index = head.index
    this.#attempt = head.attempt
    this.#sweep = head.sweep && { inputs: head.sweep, head: head.head }
    this.#bound = bindStage(job, vertex)
    const place = { vertex, index: head.index, from: subtask, attempt: head.attempt, outputs: head.outputs, packing, random }
    this.#writers = createStageWriters(job, place)
    this.chain = this.#buildChain()
    this.sinks = this.#openSinks()
    this.#head = new HeadInput(this.chain[0], job.nodes.get(vertex.id) as StreamNode)
    if (this.#bound.source === undefined) {
      this.input = new InputChannels({ graph: job.graph, vertex, index: head.index, compression: packing.compression }, head, this.#listener())
    }
  }

  /** As the log says it is; the clock still shows the time of the head. */
  static async open(options: LiveStageOptions, recovered: RecoveredState): Promise<LiveStage> {
    const stage = new LiveStage(options, recovered)
    for (const { operator, plan, restored } of [...stage.chain].reverse()) {
      try {
        await operator.open(plan.isSource ? [] : restored)
      } catch (thrown) {
        throw MillraceError.from(thrown, 'USER_FUNCTION', { what: 'open() threw', where: `operator "${plan.name}" (uid ${plan.uid})`, uid: plan.uid })
      }
    }
    stage.#resume()
    return stage
  }

  #buildChain(): readonly ChainedOperator[] {
    const { vertex, parameters, time } = this.options
    const { segments, operatorStates, backends } = this.recovered
    const writers = new Map<string, { readonly sideTag: string | null; readonly writer: StageWriter['writer'] }[]>()
    for (const { edge, writer } of this.#writers) {
      writers.set(edge.fromOperator, [...(writers.get(edge.fromOperator) ?? []), { sideTag: edge.sideTag, writer }])
    }
    return buildChain({
      job: this.#bound.job,
      vertex,
      subtask: this.#index,
      attempt: this.#attempt,
      parameters,
      processingTime: time,
      autoWatermarkIntervalMs: AUTO_WATERMARK_INTERVAL_MS,
      restoredCheckpointId: 0,
      restored: new Map(
        vertex.operators.map(({ uid }) => [uid, { segments: segments.get(uid) ?? [], operatorState: operatorStates.get(uid) ?? [] }] as const),
      ),
      trackChanges: true,
      backends,
      writers,
      requestSplit: () => {},
      emitToClient: () => assert(false, 'sinks with a committer do not run in stages'),
      fail: (error) => {
        this.#failure ??= error
      },
    })
  }

  #openSinks(): ReadonlyMap<string, StageSink> {
    const { vertex, parameters, job, time } = this.options
    const { parallelism, maxParallelism } = vertex
    const sinks = new Map<string, StageSink>()
    for (const { plan, metrics } of this.chain) {
      const sink = this.#bound.sinks.get(plan.uid)
      if (sink === undefined) continue
      const { uid, name } = plan
      const place = { uid, name, subtaskIndex: this.#index, parallelism, maxParallelism, attemptNumber: this.#attempt }
      const runtime = new SubtaskRuntimeContext(job.graph.job, place, parameters, metrics, undefined, job.bindings)
      sinks.set(uid, new StageSink(sink, { uid, name, index: this.#index, parallelism, runtime, clock: time.clock }))
    }
    return sinks
  }

  /**
   * Puts the operators where the log says they were: watermarks as far as they had come, early frames in their channels. No timer fires, not
   * even one that was registered for a time already past: it waits for the next watermark here as it would have in memory.
   */
  #resume(): void {
    const { head, stash } = this.recovered
    for (const { keyed } of this.chain) {
      if (keyed === undefined) continue
      keyed.backend.sweeps.eventTimePending = false
      keyed.backend.sweeps.processingTimePending = false
      // Restored timers went into the queues as new ones; the log has them.
      keyed.backend.eventTimers.takeChanges()
      keyed.backend.processingTimers.takeChanges()
      // An operator that arranged its state anew has changed timers too, which cannot be told from the restored ones.
      if (keyed.backend.snapshotChanges() !== undefined) this.needsBase = true
      keyed.backend.timersSuspended = true
    }
    this.#head.restore(head.head, head.sweep ?? head.inputs)
    for (const [uid, progress] of Object.entries(head.origins)) this.#bound.origins.get(uid)?.restore(progress)
    // Idleness counts from the last commit: the generators, which are new, look at the clock of that time.
    if (this.#bound.origins.size > 0 && head.lastNow > Number.NEGATIVE_INFINITY) for (let turn = 0; turn < 2; turn++) this.options.time.endOfBatch()
    this.#forgetWhatWasSaid()
    for (const { keyed } of this.chain) if (keyed !== undefined) keyed.backend.timersSuspended = false
    if (this.#sweep !== null) this.#beginSweepAgain(this.#sweep)
    for (const bytes of stash) this.input?.accept(bytes, 'a frame in the log')
    if (this.input !== undefined) {
      this.input.takeStashed(false)
      this.input.accepted = 0
    }
  }

  #forgetWhatWasSaid(): void {
    for (const { writer, senders } of this.#writers) {
      writer.flush()
      for (const sender of senders) sender.forgetTold()
    }
    for (const { operator } of this.chain) if (operator instanceof OutboxSinkOperator) operator.take()
  }

  /** The watermark is said again to the head, which has no budget to fire anything: the sweep is pending, as it was. */
  #beginSweepAgain({ inputs: before }: Pick<CommitRecord, 'inputs'>): void {
    this.sweepBudget = 0
    for (const [input, now] of this.recovered.head.inputs.entries()) this.#tellHead(input, before[input], now)
    // What the budget had stopped may have been timers of processing time alone.
    if (!this.sweepPending) this.#sweep = null
  }

  set sweepBudget(timers: number) {
    for (const { keyed } of this.chain) if (keyed !== undefined) keyed.backend.sweepBudget = timers
  }

  get sweepPending(): boolean {
    return this.chain[0].operator.sweepPending
  }

  #listener(): InputListener {
    const stage = this
    return {
      processBatch: (batch, input, origin) => this.#processBatch(batch, input, origin),
      get ready() {
        return stage.#head.ready()
      },
      processProgress: (input, before, now) => this.#processProgress(input, before, now),
      get sweepPending() {
        return stage.sweepPending
      },
      isSuspect: (channel, seq) => this.#isSuspect(channel, seq),
      resumeSweep: () => this.#resumeSweep(),
      endOfInput: (input) => this.#head.endOf(input),
      count: this.options.count,
    }
  }

  /** A record of the frame has failed before. */
  #isSuspect(channel: string, seq: number): boolean {
    if (this.skips.size === 0) return false
    const prefix = `${channel} ${seq} `
    for (const id of this.skips.keys()) if (id.startsWith(prefix)) return true
    return false
  }

  #processProgress(input: number, before: WatermarkProgress, now: WatermarkProgress): void {
    const inputs = (this.input as InputChannels).progress.map((progress, at) => (at === input ? before : progress))
    const { progress: head } = this.#head
    this.#tellHead(input, before, now)
    if (!this.sweepPending) return
    this.#sweep = { inputs, head }
    this.options.count('sweep-interrupted')
  }

  #tellHead(input: number, before: WatermarkProgress, now: WatermarkProgress): void {
    const rises = now.watermark > before.watermark
    // An input that is idle throughout may have come further, by the end of one of its channels: its watermark is heard, and it is idle again.
    const again = rises && before.idle && now.idle && now.watermark !== MAX_WATERMARK
    if (before.idle && (!now.idle || again)) this.#head.processStatus(false, input)
    if (rises) this.#head.processWatermark(now.watermark, input)
    if (now.idle && (!before.idle || again)) this.#head.processStatus(true, input)
  }

  #resumeSweep(): void {
    this.options.count('sweep-resumed')
    this.chain[0].operator.resumeSweep()
    if (!this.sweepPending) this.#sweep = null
  }

  #processBatch(batch: RecordBatch, input: number, { channel, seq, element }: FrameOrigin): void {
    const id = `${channel} ${seq} ${element}`
    if (!this.skips.has(id)) {
      this.#batch = { id, record: null, precise: false }
      this.#head.processBatch(batch, input)
    } else {
      for (let row = 0; row < batch.size; row++) this.#processRow(`${id} ${row}`, batch, row, input)
    }
    this.#batch = undefined
  }

  #processRow(id: string, batch: RecordBatch, row: number, input: number): void {
    const error = this.skips.get(id)
    const record = batch.values[row]
    if (error !== undefined) {
      this.#bury(id, error, record)
      return
    }
    this.#batch = { id, record, precise: true }
    this.#head.processBatch(RecordBatch.of([record], [batch.timestamps[row]]), input)
  }

  #bury(where: string, error: string, record: unknown): void {
    this.options.count('dead-letter')
    this.#letters.push({ stage: this.options.vertex.id, subtask: this.options.subtask, where, error, record })
  }

  /** The record (or, unless `precise`, the batch) that is being processed. */
  get processing(): (FailedRecord & { readonly precise: boolean }) | undefined {
    return this.#record === undefined ? this.#batch : { id: this.#idOf(this.#record), record: this.#record.data, precise: true }
  }

  get source(): StageOperators['source'] {
    return this.#bound.source
  }

  get epoch(): number {
    return this.input?.epoch ?? this.#epoch
  }

  get index(): number {
    return this.#index
  }

  // --- input -------------------------------------------------------------------------------------------------------------

  /** Whether the record goes to the dead letters. */
  failedBefore(record: StreamRecord): boolean {
    return this.skips.size > 0 && this.skips.has(this.#idOf(record))
  }

  #idOf({ position }: StreamRecord): string {
    return `${this.options.subtask} ${position}`
  }

  /** Puts a record of the stream outside into the source. */
  readRecord(record: StreamRecord): void {
    const { subtask } = this.options
    // Its name is not made for nothing: a long position as text takes as long as a short record's parsing.
    const error = this.skips.size === 0 ? undefined : this.skips.get(this.#idOf(record))
    if (error !== undefined) {
      this.#bury(this.#idOf(record), error, record.data)
      return
    }
    this.#record = record
    const { uid, source } = this.#bound.source as NonNullable<StageOperators['source']>
    const operator = this.chain[0].operator as unknown as SourceOperator<unknown, never>
    let element: unknown
    try {
      const { position, partitionKey, arrivalMs } = record
      element = source.deserialize(record.data, { splitId: subtask, position, partitionKey, arrivalMs })
    } catch (thrown) {
      throw MillraceError.from(thrown, 'RECORD_MALFORMED', {
        what: `deserialize() threw for record ${record.position} of ${subtask}`,
        where: `stream "${source.stream}"`,
        todo: 'Return something for each record, such as { error }, and put it to a side output; or let failing records go to the dead letters.',
        uid,
      })
    }
    operator.collect(element, record.arrivalMs, subtask)
    this.#record = undefined
  }

  /** Waits for the asynchronous calls under way, which all end within a commit. False when there were none. */
  async settle(pause: (ms: number) => Promise<void>): Promise<boolean> {
    const { intake } = this.chain[0].operator
    if (intake === undefined) return false
    let waited = false
    while (!this.#head.ready() || intake.draining) {
      waited = true
      await this.options.time.next(pause)
      if (this.#failure !== undefined) throw this.#failure
    }
    return waited
  }

  /** Periodic watermarks, and processing timers that are due. Throws what an asynchronous part of an operator reported. */
  endOfBatch(): void {
    const before = this.#processingTimers
    this.options.time.endOfBatch()
    if (this.#processingTimers < before) this.options.count('processing-timers-fired', before - this.#processingTimers)
    if (this.#failure !== undefined) throw this.#failure
  }

  get #processingTimers(): number {
    return this.chain.reduce((sum, { keyed }) => sum + (keyed?.backend.processingTimers.size ?? 0), 0)
  }

  /** When the next processing timer is due, or a watermark that waits; Infinity: never. */
  nextWakeUp(watermarkIntervalMs: number): number {
    let next = Number.POSITIVE_INFINITY
    for (const { keyed } of this.chain) {
      const timers = keyed?.backend.processingTimers
      if (timers !== undefined && timers.size > 0) next = Math.min(next, timers.nextTime)
    }
    const pace = { now: this.options.time.clock.now(), intervalMs: watermarkIntervalMs }
    for (const { senders } of this.#writers) {
      for (const sender of senders) {
        const until = sender.heldUntil(pace)
        if (until === Number.NEGATIVE_INFINITY) continue
        this.options.count('watermark-held-back')
        next = Math.min(next, until)
      }
    }
    return next
  }

  /** All input is over: operators end, first to last. `final`: nothing continues what this subtask read. */
  endInput(final: boolean): void {
    if (final) for (const { operator } of this.chain) operator.endInput()
  }

  // --- output ------------------------------------------------------------------------------------------------------------

  /** Everything for other stages since the last call, at the epoch it was made in; with an interval, watermarks alone only so often. */
  takeFrames(watermarkIntervalMs: number): OutgoingFrame[] {
    const pace = watermarkIntervalMs > 0 ? { now: this.options.time.clock.now(), intervalMs: watermarkIntervalMs } : undefined
    return this.#writers.flatMap(({ edge, writer, senders }) => {
      writer.flush()
      return senders.flatMap((sender) => {
        const frames = sender.close(this.epoch, pace)
        if (frames.length > 1) this.options.count('frame-divided', frames.length - 1)
        return frames.map((bytes) => ({ stage: edge.to, to: sender.address.to, bytes }))
      })
    })
  }

  /** Enters the epoch: everything after the barriers belongs to it. */
  enterEpoch(epoch: number, stop: boolean): OutgoingFrame[] {
    this.#epoch = epoch
    if (this.input !== undefined) this.input.epoch = epoch
    return this.#toAll((sender) => sender.barrier(epoch, stop))
  }

  /** The first frames of a split that begins at the barrier of its epoch. */
  helloFrames(stop: boolean): OutgoingFrame[] {
    return this.#toAll((sender) => sender.hello(this.epoch, stop))
  }

  /** The ends of all channels, behind everything gathered. */
  endOutputs(successors: readonly Successor[]): OutgoingFrame[] {
    for (const { writer } of this.#writers) writer.flush()
    return this.#toAll((sender) => sender.end(this.epoch, successors))
  }

  #toAll(framesOf: (sender: StageWriter['senders'][number]) => Uint8Array[]): OutgoingFrame[] {
    return this.#writers.flatMap(({ edge, senders }) =>
      senders.flatMap((sender) => framesOf(sender).map((bytes) => ({ stage: edge.to, to: sender.address.to, bytes }))),
    )
  }

  /** What sinks are to write. `completed` is the last checkpoint that has completed, for those that wait for one. */
  takeSinkEntries(version: number, completed: number): SinkEntry[] {
    const { job } = this.options.job.graph
    return this.chain.flatMap(({ plan: { uid }, operator }): SinkEntry[] => {
      if (operator instanceof HeldSinkOperator) {
        return operator.due(completed).map((released) => {
          this.options.count('sink-released')
          return { uid, ...released }
        })
      }
      const batch = operator instanceof OutboxSinkOperator ? operator.take() : undefined
      if (batch === undefined) return []
      return [{ uid, marker: { writer: sinkWriterName(job, uid, this.#index), attempt: this.#attempt, version }, batch }]
    })
  }

  takeLetters(): DeadLetter[] {
    const letters = this.#letters
    this.#letters = []
    return letters
  }

  // --- state -------------------------------------------------------------------------------------------------------------

  /** What changed of keyed state since the last call: delta segments by uid. Throws STATE_UNSERIALISABLE. */
  takeDeltas(): (readonly [string, Uint8Array])[] {
    return this.#segments((backend) => backend.snapshotChanges())
  }

  /** All keyed state, by uid. Throws STATE_UNSERIALISABLE. */
  takeSegments(): (readonly [string, Uint8Array])[] {
    return this.#segments((backend) => backend.snapshotAll())
  }

  #segments(take: (backend: KeyedStateBackend) => Uint8Array | undefined): (readonly [string, Uint8Array])[] {
    return this.chain.flatMap(({ plan, keyed }) => {
      const bytes = keyed === undefined ? undefined : take(keyed.backend)
      return bytes === undefined ? [] : [[plan.uid, bytes] as const]
    })
  }

  /** What changed of operator state since the last call, packed; undefined when nothing did. */
  async takeOperatorChanges(cut: number | undefined, completed: number): Promise<Uint8Array | undefined> {
    const changes: (readonly [string, unknown])[] = []
    for (const { plan, operator, restored } of this.chain) {
      if (plan.isSource) continue
      let changed: unknown
      if (operator instanceof HeldSinkOperator) {
        changed = operator.change(cut, completed)
        if (changed !== undefined) this.options.count('sink-held-until-checkpoint')
      } else if (!(operator instanceof OutboxSinkOperator)) changed = await operator.takeStateChanges(this.epoch, restored)
      if (changed !== undefined) changes.push([plan.uid, changed])
    }
    return changes.length === 0 ? undefined : pack(changes)
  }

  /** All operator state: elements by uid. */
  async operatorStates(): Promise<(readonly [string, readonly unknown[]])[]> {
    const states: (readonly [string, readonly unknown[]])[] = []
    for (const { plan, operator } of this.chain) {
      if (plan.isSource) continue
      const elements = await operator.snapshotState(this.epoch)
      if (!Array.isArray(elements)) throw notOnAws(plan, 'its state is no list of elements', 'Run it embedded.')
      if (elements.length > 0) states.push([plan.uid, elements])
    }
    return states
  }

  /** For whoever opens the subtask again with what others committed meanwhile. */
  get backends(): ReadonlyMap<string, KeyedStateBackend> {
    return new Map(this.chain.flatMap(({ plan, keyed }) => (keyed === undefined ? [] : [[plan.uid, keyed.backend] as const])))
  }

  /** What the commit record says of watermarks and channels. */
  get progress(): Pick<CommitRecord, 'channels' | 'inputs' | 'sweep' | 'outputs' | 'origins' | 'head'> {
    return {
      channels: this.input?.states ?? {},
      inputs: this.input?.progress ?? [],
      sweep: this.#sweep?.inputs ?? null,
      outputs: Object.fromEntries(this.#writers.flatMap(({ senders }) => senders.map((sender) => [channelOf(sender.address), sender.state]))),
      origins: Object.fromEntries([...this.#bound.origins].map(([uid, { progress }]) => [uid, progress])),
      head: this.#sweep === null ? this.#head.progress : this.#sweep.head,
    }
  }

  /** The acknowledgement's part that says whose it is. */
  get identity(): Pick<StageAck, 'stage' | 'subtask' | 'index'> {
    return { stage: this.options.vertex.id, subtask: this.options.subtask, index: this.#index }
  }

  async close(): Promise<void> {
    for (const { operator } of this.chain) await operator.close()
    for (const sink of this.sinks.values()) await sink.close()
  }
}
