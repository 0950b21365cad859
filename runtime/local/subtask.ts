import { MillraceError } from '../core/index.js'
import type { SnapshotTarget } from '../exchange/index.js'
import { SinkOperator } from '../operators/sink-operator.js'
import type { SourceOperator } from '../operators/source-operator.js'
import type { OperatorPlan, StreamNode, VertexPlan } from '../plan/index.js'
import { HeadInput } from '../task/head-input.js'
import type { WriteSegment } from '../task/keyed-snapshots.js'
import type { ChainedOperator } from '../task/operator-chain.js'
import type { SubtaskProcessingTime } from '../task/processing-time.js'
import type { RecordWriter } from '../task/record-writer.js'
import type { ChannelReceiver } from './channel.js'
import { type GateListener, InputGate } from './input-gate.js'
import { type FromThread, type OperatorAck, subtaskName } from './messages.js'

/** Channel elements that one turn processes at most, so that other subtasks of the thread come to run. */
const ELEMENTS_PER_TURN = 16

export interface SubtaskOptions {
  readonly vertex: VertexPlan
  readonly subtask: number
  readonly chain: readonly ChainedOperator[]
  readonly channels: readonly ChannelReceiver[]
  /** The input that each channel feeds. */
  readonly inputs: readonly number[]
  /** The edge of the job graph that each channel belongs to. */
  readonly edges: readonly number[]
  readonly writers: readonly RecordWriter[]
  readonly exactlyOnce: boolean
  readonly processingTime: SubtaskProcessingTime
  /** The head's node, for its key selectors. */
  readonly node: StreamNode
  segmentWriter(uid: string, checkpointId: number, target: SnapshotTarget): WriteSegment
  send(message: FromThread): void
  wake(): void
}

/** One subtask of a vertex: its chain of operators between its channels. Runs in turns, and never waits inside one. */
export class Subtask {
  readonly name: string
  busyMs = 0
  backPressuredMs = 0
  idleMs = 0
  readonly #head: ChainedOperator
  readonly #source: SourceOperator<unknown, never> | undefined
  readonly #gate: InputGate | undefined
  readonly #sinks: readonly SinkOperator<unknown>[]
  #sourceState: 'reading' | 'waiting' | 'stopped' | 'ended' = 'reading'
  /** The checkpoint after which a stopped source reads nothing. */
  #stoppedBy = 0
  /** The checkpoint with which the job stops: no timer fires and no watermark is made behind its barrier. */
  #quietBehind: number | undefined
  readonly #input: HeadInput | undefined
  /** The operator of the chain whose end is next, once there is no more input. */
  #endAt: number | undefined
  #ended = false
  readonly #opened: ChainedOperator[] = []
  #backPressured = false
  #dueMs = Number.POSITIVE_INFINITY
  #lastTurnEnd: number

  constructor(readonly options: SubtaskOptions) {
    this.name = subtaskName(options.vertex.id, options.subtask)
    this.#head = options.chain[0]
    this.#source = this.#head.plan.isSource ? (this.#head.operator as SourceOperator<unknown, never>) : undefined
    if (this.#source === undefined) {
      this.#input = new HeadInput(this.#head, options.node)
      this.#gate = new InputGate(options.channels, options.inputs, this.#listener(this.#input), options.exactlyOnce, options.edges)
    }
    this.#sinks = options.chain.flatMap(({ operator }) => (operator instanceof SinkOperator ? [operator] : []))
    this.#lastTurnEnd = options.processingTime.clock.monotonic()
  }

  get source(): SourceOperator<unknown, never> | undefined {
    return this.#source
  }
  /** When the source wants to be polled, by the monotonic clock; Infinity when something else will tell. */
  get dueMs(): number {
    return this.#dueMs
  }
  get bytesIn(): number {
    return this.options.channels.reduce((sum, channel) => sum + channel.bytes, 0)
  }
  get bytesOut(): number {
    return this.options.writers.reduce((sum, writer) => sum + writer.bytes, 0)
  }

  /** Opens the operators, last first, so that each can be written to when the one before it opens. */
  async open(): Promise<void> {
    for (const chained of [...this.options.chain].reverse()) {
      const { operator, restored, plan } = chained
      this.#opened.unshift(chained)
      try {
        await operator.open(plan.isSource ? [] : restored)
      } catch (thrown) {
        throw openError(thrown, plan)
      }
    }
  }

  /** Does some work; false when there is none, or no room for its results. */
  turn(): boolean {
    const { processingTime } = this.options
    const start = processingTime.clock.monotonic()
    const waited = start - this.#lastTurnEnd
    if (this.#backPressured) this.backPressuredMs += waited
    else this.idleMs += waited
    this.#dueMs = Number.POSITIVE_INFINITY
    let progressed = this.#quietBehind === undefined ? processingTime.fireDue() : processingTime.runSoon()
    this.#backPressured = !this.#writable
    if (!this.#backPressured) {
      const worked =
        this.#source === undefined ? this.#processInput(this.#gate as InputGate, this.#input as HeadInput) : this.#readSource(this.#source)
      if (worked) progressed = true
    }
    if (this.#endAt !== undefined) this.#goOnEnding(this.#endAt)
    if (processingTime.hasSoon) progressed = true
    this.#lastTurnEnd = processingTime.clock.monotonic()
    this.busyMs += this.#lastTurnEnd - start
    return progressed
  }

  get #writable(): boolean {
    const { writers } = this.options
    for (let i = 0; i < writers.length; i++) if (!writers[i].writable) return false
    for (let i = 0; i < this.#sinks.length; i++) if (!this.#sinks[i].writable) return false
    return true
  }

  #processInput(gate: InputGate, input: HeadInput): boolean {
    let count = 0
    while (count < ELEMENTS_PER_TURN && input.ready() && gate.processNext()) {
      count++
      if (!this.#writable) break
    }
    return count > 0
  }

  #readSource(source: SourceOperator<unknown, never>): boolean {
    if (this.#sourceState !== 'reading' || source.paused) return false
    const status = source.pollNext()
    if (status === 'more') return true
    if (status === 'end') {
      this.#sourceState = 'ended'
      this.#endInput()
      return true
    }
    const dueInMs = source.dueInMs()
    if (dueInMs !== undefined) {
      this.#dueMs = this.options.processingTime.clock.monotonic() + dueInMs
      return false
    }
    this.#sourceState = 'waiting'
    source.available().then(
      () => {
        if (this.#sourceState !== 'waiting') return
        this.#sourceState = 'reading'
        this.options.wake()
      },
      (error) => this.#fail(error),
    )
    return false
  }

  #fail(error: unknown): void {
    const { plan } = this.#head
    const failure = MillraceError.from(error, 'SOURCE_FAILED', {
      what: 'the source failed',
      where: `operator "${plan.name}" (uid ${plan.uid})`,
      uid: plan.uid,
    })
    this.options.send({ kind: 'failed', error: failure.toPlain() })
  }

  #listener(head: HeadInput): GateListener {
    return {
      processBatch: (batch, input) => head.processBatch(batch, input),
      processWatermark: (watermark, input) => head.processWatermark(watermark, input),
      processStatus: (idle, input) => head.processStatus(idle, input),
      barrierAligned: (checkpointId, target) => this.snapshot(checkpointId, target),
      endOf: (input) => head.endOf(input),
      endOfInput: () => this.#endInput(),
    }
  }

  /** All input is processed: operators end, first to last, and what follows hears of it. */
  #endInput(): void {
    if (this.#ended) return
    this.#ended = true
    this.#head.operator.endInput()
    this.#goOnEnding(0)
  }

  /** The end goes on from operator to operator, as far as those are that have no more results to come. */
  #goOnEnding(from: number): void {
    const { chain } = this.options
    for (let at = from; at < chain.length; at++) {
      this.#endAt = at
      if (chain[at].operator.intake?.draining === true) return
      chain[at + 1]?.operator.endInput()
    }
    this.#endAt = undefined
    for (const writer of this.options.writers) writer.broadcast({ kind: 'end' })
    this.options.send({ kind: 'ended', subtask: this.name })
  }

  /** Sends what waits in unfinished batches. */
  flush(): boolean {
    let flushed = false
    for (const writer of this.options.writers) if (writer.flush()) flushed = true
    return flushed
  }

  /** A checkpoint begins at this source. With `stop` nothing is read after it. */
  trigger(checkpointId: number, target: SnapshotTarget, stop: boolean): void {
    if (this.#source === undefined) return
    if (stop && this.#sourceState !== 'ended') {
      this.#sourceState = 'stopped'
      this.#stoppedBy = checkpointId
    }
    this.snapshot(checkpointId, stop ? { ...target, stop } : target)
  }

  /** The source ends here, whatever it still could read. */
  drain(): void {
    if (this.#source === undefined || this.#ended) return
    this.#sourceState = 'ended'
    this.#endInput()
  }

  abort(checkpointId: number): void {
    this.#gate?.abort(checkpointId)
    if (this.#quietBehind === checkpointId) this.#quietBehind = undefined
    // The stop has failed: the job goes on.
    if (this.#sourceState === 'stopped' && this.#stoppedBy === checkpointId) this.#sourceState = 'reading'
  }

  /** Barrier downstream, state encoded now, written and acknowledged later. */
  snapshot(checkpointId: number, target: SnapshotTarget): void {
    if (target.stop === true) this.#quietBehind = checkpointId
    for (const writer of this.options.writers) writer.broadcast({ kind: 'barrier', checkpointId, target })
    const acks: Promise<OperatorAck>[] = []
    try {
      for (const chained of this.options.chain) acks.push(this.#snapshotOperator(chained, checkpointId, target))
    } catch (error) {
      this.#decline(checkpointId, error)
      for (const ack of acks) ack.catch(() => {})
      return
    }
    Promise.all(acks).then(
      (operators) => {
        const bytes = this.options.chain.reduce((sum, { metrics }) => sum + metrics.checkpointBytes, 0)
        this.options.send({ kind: 'ack', checkpointId, subtask: this.name, operators, bytes })
      },
      (error) => this.#decline(checkpointId, error),
    )
  }

  async #snapshotOperator({ operator, keyed, plan, metrics }: ChainedOperator, checkpointId: number, target: SnapshotTarget): Promise<OperatorAck> {
    const operatorState = operator.snapshotState(checkpointId)
    let segments: Promise<OperatorAck['keyed']> = Promise.resolve([])
    if (keyed !== undefined && target.kind !== 'none') {
      const write = this.options.segmentWriter(plan.uid, checkpointId, target)
      try {
        segments = target.kind === 'checkpoint' ? keyed.snapshot(write) : keyed.snapshotWhole(write)
      } catch (thrown) {
        throw thrown instanceof MillraceError
          ? new MillraceError(thrown.code, { ...thrown.detail, where: `operator "${plan.name}" (uid ${plan.uid})`, uid: plan.uid })
          : thrown
      }
      metrics.checkpointBytes = keyed.lastBytes
    }
    segments.catch(() => {})
    return { uid: plan.uid, operatorState: await operatorState, keyed: await segments }
  }

  #decline(checkpointId: number, error: unknown): void {
    const failure = MillraceError.from(error, 'CHECKPOINT_FAILED', { what: `checkpoint ${checkpointId} failed in ${this.name}` })
    this.options.send({ kind: 'decline', checkpointId, error: failure.toPlain() })
  }

  /** Sinks commit what checkpoint n made final. */
  async complete(checkpointId: number): Promise<void> {
    await Promise.all(this.options.chain.map(({ operator }) => operator.notifyCheckpointComplete(checkpointId)))
    this.options.send({ kind: 'committed', checkpointId, subtask: this.name })
  }

  /** Closes every operator that was opened, whatever the others throw; rejects with the first failure. */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (const { operator } of this.#opened.splice(0)) {
      try {
        await operator.close()
      } catch (thrown) {
        failures.push(thrown)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}

function openError(thrown: unknown, { name, uid }: OperatorPlan): MillraceError {
  const where = `operator "${name}" (uid ${uid})`
  if (!(thrown instanceof MillraceError)) {
    return new MillraceError('USER_FUNCTION', { what: 'open() threw', where, todo: 'The cause says what it could not do.', uid, cause: thrown })
  }
  return thrown.uid !== undefined ? thrown : new MillraceError(thrown.code, { ...thrown.detail, where: thrown.detail.where ?? where, uid })
}
