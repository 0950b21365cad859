import type { StageAck } from '../checkpoint/stage-ack.js'
import { type JobParameters, MillraceError } from '../core/index.js'
import type { SourceOperator } from '../operators/source-operator.js'
import type { CompiledJob, StreamNode, VertexPlan } from '../plan/index.js'
import type { KeyRange, Successor } from '../ports/index.js'
import { type KeyedStateBackend, pack } from '../state/index.js'
import type { BatchProcessingTime } from './batch-processing-time.js'
import type { CommitRecord } from './commit-record.js'
import type { FramePacking } from './frame-sender.js'
import { HeadInput } from './head-input.js'
import { HeadSweep } from './head-sweep.js'
import { InputChannels, type InputListener } from './input-channels.js'
import type { ChainedOperator } from './operator-chain.js'
import type { OutgoingFrame, SinkEntry } from './outbox.js'
import { HeldSinkOperator, OutboxSinkOperator } from './outbox-sink-operator.js'
import type { Outlook } from './outlook.js'
import { type ReadRecord, RecordFailures } from './record-failures.js'
import type { StreamRecord } from './record-stream-source.js'
import { buildStageChain, openStageSinks } from './stage-chain.js'
import { sinkWriterName } from './stage-names.js'
import { bindStage, notOnAws, type StageOperators } from './stage-operators.js'
import { StageOutput } from './stage-output.js'
import type { StageEvent } from './stage-ports.js'
import type { RecoveredState } from './stage-recovery.js'
import type { StageSink } from './stage-sinks.js'
import { createStageWriters } from './stage-writers.js'
import { StateLoading } from './state-loading.js'

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

/**
 * A stage's subtask in memory, as of one version of its log and with what the commit under way adds. It only computes; a commit that fails
 * or loses leaves it behind for good.
 */
export class LiveStage {
  position: bigint | undefined
  readonly input: InputChannels | undefined
  readonly sinks: ReadonlyMap<string, StageSink>
  readonly chain: readonly ChainedOperator[]
  readonly failures: RecordFailures
  readonly sweep: HeadSweep
  readonly state: StateLoading
  /** The keys of the source's split, once they have been asked for. */
  keys: { readonly range: KeyRange | undefined } | undefined
  readonly index: number
  #epoch: number
  readonly #attempt: number
  readonly #bound: StageOperators
  readonly #output: StageOutput
  readonly #head: HeadInput
  /** What operators changed in keyed state while they opened: some arrange anew what others wrote. */
  #openingDeltas: (readonly [string, Uint8Array])[] = []
  /** What an asynchronous part of an operator has thrown. */
  #failure: unknown

  private constructor(
    readonly options: LiveStageOptions,
    recovered: RecoveredState,
  ) {
    const { job, vertex, subtask, parameters, packing, random, time, count } = options
    const { head } = recovered
    const { index, attempt, outputs } = head
    this.position = head.position === null ? undefined : BigInt(head.position)
    this.#epoch = head.epoch
    this.index = index
    this.#attempt = attempt
    this.#bound = bindStage(job, vertex)
    this.#output = new StageOutput(createStageWriters(job, { vertex, index, from: subtask, attempt, outputs, packing, random }), count)
    const fail = (error: unknown) => {
      this.#failure ??= error
    }
    this.chain = buildStageChain(options, recovered, { bound: this.#bound, writers: this.#output.writers, fail })
    this.sinks = openStageSinks(this.chain, this.#bound, { job, vertex, parameters, index, attempt }, time.clock)
    this.failures = new RecordFailures({ stage: vertex.id, subtask, count, now: () => time.clock.now() })
    this.#head = new HeadInput(this.chain[0], job.nodes.get(vertex.id) as StreamNode)
    this.sweep = new HeadSweep(this.chain, this.#head, count, head)
    this.state = new StateLoading(this.chain[0], this.#head, time, count)
    if (this.#bound.source === undefined) {
      this.input = new InputChannels({ graph: job.graph, vertex, index, compression: packing.compression }, head, this.#listener())
    }
  }

  /** For other stages, since it was opened. */
  get recordsWritten(): number {
    return this.#output.records
  }

  /** Of what the stage works on, if it is keyed; for a record that fails. */
  get currentKey(): unknown {
    return this.chain[0].keyed?.backend.currentUserKey ?? null
  }

  /** How many records came too late, and nothing was done with them, since the last call. */
  takeLate(): number {
    let late = 0
    for (const { metrics } of this.chain) {
      late += metrics.late
      metrics.late = 0
    }
    return late
  }

  // --- opening -----------------------------------------------------------------------------------------------------------

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
    stage.#resume(recovered)
    return stage
  }

  /**
   * Puts the operators where the log says they were: watermarks as far as they had come, early frames in their channels. No timer fires, not
   * even one that was registered for a time already past: it waits for the next watermark here as it would have in memory.
   */
  #resume({ head, stash }: RecoveredState): void {
    for (const { keyed } of this.chain) {
      if (keyed === undefined) continue
      keyed.backend.sweeps.eventTimePending = false
      keyed.backend.sweeps.processingTimePending = false
      keyed.backend.timersSuspended = true
    }
    this.#openingDeltas = this.#segments((backend) => backend.snapshotChanges())
    this.#head.restore(head.head, head.sweep ?? head.inputs)
    for (const { keyed } of this.chain) keyed?.backend.beginAt(keyed.backend.sweeps.sweptTo)
    for (const [uid, progress] of Object.entries(head.origins)) this.#bound.origins.get(uid)?.restore(progress)
    // Idleness counts from the last commit: the generators, which are new, look at the clock of that time.
    if (this.#bound.origins.size > 0 && head.lastNow > Number.NEGATIVE_INFINITY) for (let turn = 0; turn < 2; turn++) this.options.time.endOfBatch()
    this.#output.forgetTold()
    for (const { operator } of this.chain) if (operator instanceof OutboxSinkOperator) operator.take()
    for (const { keyed } of this.chain) if (keyed !== undefined) keyed.backend.timersSuspended = false
    this.sweep.beginAgain(head.inputs)
    for (const bytes of stash) this.input?.accept(bytes, 'a frame in the log')
    if (this.input !== undefined) {
      this.input.takeStashed(false)
      this.input.accepted = 0
    }
  }

  #listener(): InputListener {
    const { sweep, failures } = this
    const head = this.#head
    return {
      processBatch: (batch, input, origin) => failures.processBatch(batch, origin, (part) => head.processBatch(part, input)),
      get ready() {
        return head.ready()
      },
      admits: (batch, input) => head.admits(batch, input),
      processProgress: (input, before) => sweep.advance(input, before, (this.input as InputChannels).progress),
      get sweepPending() {
        return sweep.pending
      },
      isSuspect: (channel, seq) => failures.isSuspect(channel, seq),
      resumeSweep: () => sweep.resume(),
      endOfInput: (input) => head.endOf(input),
      count: this.options.count,
    }
  }

  // --- input -------------------------------------------------------------------------------------------------------------

  get source(): StageOperators['source'] {
    return this.#bound.source
  }

  get epoch(): number {
    return this.input?.epoch ?? this.#epoch
  }

  /** Puts a record of the stream outside into the source, or those that are packed into it; their number. */
  readRecord(record: StreamRecord, keys?: KeyRange): number {
    const packed = this.source?.source.packing?.unpack(record.data, keys)
    if (packed === undefined) {
      this.#readRecord(record)
      return 1
    }
    for (const part of packed) this.#readRecord({ ...record, ...part })
    return packed.length
  }

  #readRecord(record: ReadRecord): void {
    this.failures.processRecord(record, () => {
      const operator = this.chain[0].operator as unknown as SourceOperator<unknown, never>
      operator.collect(this.#deserialized(record), record.arrivalMs, this.options.subtask)
    })
  }

  #deserialized({ data, position, ordinal, partitionKey, arrivalMs }: ReadRecord): unknown {
    const { subtask } = this.options
    const { uid, source } = this.#bound.source as NonNullable<StageOperators['source']>
    try {
      return source.deserialize(data, { splitId: subtask, position, subSequenceNumber: ordinal ?? 0, partitionKey, arrivalMs })
    } catch (thrown) {
      throw MillraceError.from(thrown, 'RECORD_MALFORMED', {
        what: `deserialize() threw for record ${position} of ${subtask}`,
        where: `stream "${source.stream}"`,
        todo: 'Return something for each record, such as { error }, and put it to a side output; or let failing records go to the dead letters.',
        uid,
      })
    }
  }

  /** Brings state into memory that the input waits for; waits for the asynchronous calls under way, which all end within a commit. False when there was nothing. */
  async settle(pause: (ms: number) => Promise<void>): Promise<boolean> {
    if (await this.state.loadWanted()) return true
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

  /** How far event time had come for an operator; see `SweepBudget.sweptTo`. */
  sweptTo(uid: string): number {
    return this.chain.find(({ plan }) => plan.uid === uid)?.keyed?.backend.sweeps.sweptTo ?? Number.NEGATIVE_INFINITY
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
      next = Math.min(next, timers?.beyond?.nextTime ?? next)
    }
    return Math.min(next, this.#output.nextDue(this.options.time.clock.now(), watermarkIntervalMs))
  }

  /** What is left to be done as of now. */
  outlook(asOfCut: boolean): Outlook {
    const awaits = this.chain.flatMap(({ operator }) => (operator instanceof HeldSinkOperator ? (operator.awaits ?? []) : []))
    return {
      asOfCut,
      moves: this.#watermarksMoveFrom(),
      awaits: awaits.length === 0 ? null : Math.min(...awaits),
      waiting: this.sweep.pending || (this.input?.stashed ?? 0) > 0,
    }
  }

  /** Since that commit an input has become idle, or active again. */
  idlenessChanged(before: CommitRecord['origins']): boolean {
    return [...this.#bound.origins].some(([uid, { progress }]) => progress.idle !== (before[uid]?.idle ?? false))
  }

  #watermarksMoveFrom(): number | null {
    let from = Number.POSITIVE_INFINITY
    for (const [uid, { afterMs, untilIdle }] of this.#bound.movedByTime) {
      if (untilIdle && this.#bound.origins.get(uid)?.progress.idle === true) continue
      from = Math.min(from, this.options.time.clock.now() + afterMs)
    }
    return from === Number.POSITIVE_INFINITY ? null : from
  }

  /** All input is over: operators end, first to last. `final`: nothing continues what this subtask read. */
  endInput(final: boolean): void {
    if (final) for (const { operator } of this.chain) operator.endInput()
  }

  // --- output ------------------------------------------------------------------------------------------------------------

  /** Everything for other stages since the last call, at the epoch it was made in; with an interval, watermarks alone only so often. */
  takeFrames(watermarkIntervalMs: number): OutgoingFrame[] {
    return this.#output.takeFrames(this.epoch, this.options.time.clock.now(), watermarkIntervalMs)
  }

  /** Enters the epoch: everything after the barriers belongs to it. */
  enterEpoch(epoch: number, stop: boolean): OutgoingFrame[] {
    this.#epoch = epoch
    this.input?.enter(epoch)
    return this.#output.barriers(epoch, stop)
  }

  /** The first frames of a split that begins at the barrier of its epoch. */
  helloFrames(stop: boolean): OutgoingFrame[] {
    return this.#output.helloFrames(this.epoch, stop)
  }

  /** The ends of all channels, behind everything gathered. */
  endOutputs(successors: readonly Successor[]): OutgoingFrame[] {
    return this.#output.ends(this.epoch, successors)
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
      return [{ uid, marker: { writer: sinkWriterName(job, uid, this.index), attempt: this.#attempt, version }, batch }]
    })
  }

  // --- state -------------------------------------------------------------------------------------------------------------

  /** What changed of keyed state since the last call: delta segments by uid. Throws STATE_UNSERIALISABLE. */
  takeDeltas(): (readonly [string, Uint8Array])[] {
    const opening = this.#openingDeltas
    this.#openingDeltas = []
    return [...opening, ...this.#segments((backend) => backend.takeDelta())]
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
      outputs: this.#output.states,
      origins: Object.fromEntries([...this.#bound.origins].map(([uid, { progress }]) => [uid, progress])),
      ...this.sweep.progress,
    }
  }

  /** The acknowledgement's part that says whose it is. */
  get identity(): Pick<StageAck, 'stage' | 'subtask' | 'index'> {
    return { stage: this.options.vertex.id, subtask: this.options.subtask, index: this.index }
  }

  async close(): Promise<void> {
    for (const { operator } of this.chain) await operator.close()
    for (const sink of this.sinks.values()) await sink.close()
  }
}
