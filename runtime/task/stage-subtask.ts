import type { SubtaskControl } from '../checkpoint/job-record.js'
import type { StageAck } from '../checkpoint/stage-ack.js'
import { assert, type JobParameters, type MillraceError } from '../core/index.js'
import type { CompiledJob, VertexPlan } from '../plan/index.js'
import type { ControlItem, LogItem, Successor } from '../ports/index.js'
import { unpack } from '../state/index.js'
import { BatchProcessingTime } from './batch-processing-time.js'
import { CommitBudget } from './commit-budget.js'
import { type CommitRecord, encodeCommit, loadPart, partPlace } from './commit-record.js'
import { JobControl } from './job-control.js'
import { LiveStage } from './live-stage.js'
import { decodeOutbox, deliver, type Outbox } from './outbox.js'
import type { StreamRecord } from './record-stream-source.js'
import { SplitStart } from './split-start.js'
import { storeAck } from './stage-acks.js'
import { type PreparedCommit, prepareCommit, type Step } from './stage-commit.js'
import { endedSplit, expiredLog, noSuchStage, notActivated, onHold, otherAttempt, otherPlan, retired, tooManyLosses } from './stage-errors.js'
import { acksLogName, type Deployment, endedLogName, hasSource, innerOrdinal, splitOrdinal, subtaskLogName } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'
import { catchUp, foldChanges, missedCommits, type RecoveredState, recover } from './stage-recovery.js'
import { DEFAULT_STAGE_SETTINGS, type StageSettings } from './stage-settings.js'

export interface StageSubtaskOptions {
  readonly deployment: Deployment
  /** Describes the job anew: each opening has function objects of its own. */
  describe(): CompiledJob
  /** Id of the stage, which is a vertex of the plan. */
  readonly stage: string
  /** Index of the subtask, or a source's split. */
  readonly subtask: string
  readonly parameters: JobParameters
  readonly ports: StagePorts
  readonly settings?: Partial<StageSettings>
}

/** Why a subtask is invoked. */
export type StageCall =
  /** A batch of the stage's stream, of one shard and in its order. `attempt` is that of the alias which a source's mapping calls. */
  | { readonly kind: 'batch'; readonly records: readonly StreamRecord[]; readonly attempt?: number }
  /** A message, a tick, a wake-up: log, control item and clock say what there is to do. */
  | { readonly kind: 'poke' }

/** What a subtask is asked to do, with what only its own stage asks of it: to end a split whose successors have begun. */
type Work = StageCall | { readonly kind: 'end'; readonly attempt: number }

/** An instance's knowledge of the subtask, as of one version of the log. */
interface Memory {
  live: LiveStage
  version: number
  head: CommitRecord
  control: SubtaskControl
  /** The head's outbox has arrived. */
  sent: boolean
  readonly openedAtMs: number
  /** Operator state as it was opened with, and what commits have changed since, packed. */
  readonly operatorStates: ReadonlyMap<string, readonly unknown[]>
  readonly operatorChanges: Uint8Array[]
}

const MOST_LOSSES = 20
const NO_CONTROL: SubtaskControl = { attempt: 0, begun: 0, stop: false, aborted: 0, completed: 0 }

/**
 * One subtask of a stage on AWS. It lives in invocations: catch up with the log, process in memory, one conditional put, deliver
 * (docs/protocol.md).
 *
 * I1  Version v of the log is written once; whoever loses drops its memory and reads the log.
 * I2  Nothing leaves before the commit that holds it is won.
 * I3  The outbox of version v has arrived before version v + 1 is written.
 * I4  Whatever throws leaves no memory behind.
 * I5  A batch is acknowledged (the call returns) only when everything in it is committed and delivered, by the attempt that the batch came for.
 */
export class StageSubtask {
  readonly log: string
  readonly #options: StageSubtaskOptions
  readonly #settings: StageSettings
  #memory: Memory | undefined
  /** Records that fail, by where they stand, with the error; frames to be taken record by record, to find the one that fails. */
  #skips = new Map<string, string>()

  constructor(options: StageSubtaskOptions) {
    this.#options = options
    this.#settings = { ...DEFAULT_STAGE_SETTINGS, ...options.settings }
    this.log = subtaskLogName(options.deployment, options.stage, options.subtask)
  }

  /** When it returns, everything there was to do is committed and has arrived. What it throws says that the batch must come again. */
  async invoke(call: StageCall): Promise<void> {
    if (call.kind === 'batch' && call.records.length === 0) return
    await this.#guarded(() => this.#work(call))
  }

  /** Ends a source's split that has been read to its end: what continues it has begun. */
  async endSplit(attempt: number): Promise<CommitRecord> {
    await this.#guarded(() => this.#work({ kind: 'end', attempt }))
    const head = this.#memory?.head
    // A stop came between.
    if (head?.life !== 'ended') throw onHold(this.log)
    return head
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      await this.#drop()
      throw error
    } finally {
      this.#skips = new Map()
    }
  }

  async #drop(): Promise<void> {
    const memory = this.#memory
    this.#memory = undefined
    await memory?.live.close().catch(() => {}) // what failed before is what matters
  }

  async #work(work: Work): Promise<void> {
    let memory = await this.#load()
    let relieved = false
    for (let losses = 0; ; ) {
      if (memory === undefined || this.#mayStartAnew(memory, work)) {
        if (!(await this.#start(work))) return
        memory = await this.#load()
        continue
      }
      if (!this.#admits(memory, work)) return
      await this.#ensureSent(memory, work)
      if (!relieved && this.#isOverfull(memory)) {
        relieved = true
        await this.#giveUpCheckpoint(memory)
      }
      const outcome = await this.#commit(memory, work)
      if (outcome === 'rest') return this.#atRest(memory, work)
      if (outcome === 'lost' && ++losses > MOST_LOSSES) throw tooManyLosses(this.log, losses)
      // Behind a stash a control item may have come that lets it be consumed.
      if (outcome !== 'more' || (memory.live.input?.stashed ?? 0) > 0) memory = await this.#load()
    }
  }

  // --- loading -----------------------------------------------------------------------------------------------------------

  /** The subtask as of the newest version; undefined when nothing was ever committed. */
  async #load(): Promise<Memory | undefined> {
    const { ports } = this.#options
    const memory = this.#memory
    if (memory !== undefined && ports.clock.now() - memory.openedAtMs > this.#settings.cacheMaxAgeMs) {
      ports.count('cache-too-old')
      await this.#drop()
    }
    if (this.#memory !== undefined) {
      const { items, control } = await ports.log.read(this.log, this.#memory.version)
      if (items.length > 0) await this.#take(this.#memory, items)
      if (this.#memory !== undefined) {
        this.#memory.control = controlOf(control)
        return this.#memory
      }
    }
    const asOfMs = ports.clock.now()
    const { item, control } = await ports.log.head(this.log)
    if (item === undefined) return undefined
    ports.count('cold-start')
    const recovered = await recover(ports, this.log, item)
    const ageMs = asOfMs - recovered.head.base.atMs
    if (ageMs > this.#settings.logRetentionMs) throw expiredLog(this.log, ageMs, this.#settings.logRetentionMs)
    this.#memory = await this.#open(recovered, controlOf(control))
    return this.#memory
  }

  /** Others have committed: their changes go into the memory, if they are changes of what it holds. */
  async #take(memory: Memory, missed: readonly LogItem[]): Promise<void> {
    const { ports } = this.#options
    const { live, version, control } = memory
    this.#memory = undefined
    const commits = missedCommits(this.log, missed, version)
    if (commits === undefined) {
      await live.close()
      return
    }
    ports.count('warm-catch-up')
    const held = { backends: live.backends, operatorStates: statesOf(memory), stash: live.input?.allStashed ?? [] }
    const recovered = await catchUp(ports, this.log, commits, held)
    await live.close()
    this.#memory = await this.#open(recovered, control, live.options.time)
  }

  async #open(recovered: RecoveredState, control: SubtaskControl, known?: BatchProcessingTime): Promise<Memory> {
    const { deployment, describe, stage, subtask, parameters, ports } = this.#options
    const { head, version } = recovered
    if (head.plan !== deployment.plan && head.life !== 'retired') throw otherPlan(this.log, head.plan, deployment)
    const job = named(describe(), deployment.job)
    const vertex = stageOf(job, stage, head.index)
    const time = known ?? new BatchProcessingTime(ports.clock)
    time.beginAt(head.lastNow)
    const live = await LiveStage.open(
      {
        job,
        vertex,
        subtask,
        parameters,
        time,
        packing: { compression: ports.compression, frameBytes: this.#settings.frameBytes },
        random: () => ports.random(),
        count: (event, times) => ports.count(event, times),
      },
      recovered,
    )
    live.skips = this.#skips
    const openedAtMs = ports.clock.now()
    return { live, version, head, control, sent: false, openedAtMs, operatorStates: recovered.operatorStates, operatorChanges: [] }
  }

  // --- fences ------------------------------------------------------------------------------------------------------------

  /** False: nothing may be done, and nothing is to be. Throws BATCH_REFUSED for a batch that must not be acknowledged. */
  #admits({ head, live, control }: Memory, work: Work): boolean {
    const { ports } = this.#options
    const source = live.source !== undefined
    if (head.life === 'retired') {
      ports.count('retired-poked')
      if (source && work.kind !== 'poke') throw retired(this.log)
      return false
    }
    if (source && work.kind !== 'poke' && work.attempt !== undefined && work.attempt !== head.attempt) {
      ports.count('batch-of-other-attempt')
      throw otherAttempt(this.log, head.attempt, work.attempt)
    }
    if (head.life === 'stopped' && control.aborted < head.epoch && this.#bringsNew(live, work)) {
      ports.count('batch-held')
      throw onHold(this.log)
    }
    if (head.life === 'ended' && source && work.kind === 'batch' && this.#bringsNew(live, work)) throw endedSplit(this.log)
    return true
  }

  #bringsNew({ position }: LiveStage, work: Work): boolean {
    if (work.kind !== 'batch') return work.kind === 'end'
    return position === undefined || work.records.some((record) => record.position > position)
  }

  // --- sources' splits ---------------------------------------------------------------------------------------------------

  /** A split that a restore had taken out of the job appears again. */
  #mayStartAnew({ head, live }: Memory, work: Work): boolean {
    return head.life === 'retired' && live.source !== undefined && work.kind !== 'poke' && (work.attempt ?? 0) >= head.attempt
  }

  /** The subtask has no log. True when it has begun one. */
  async #start(work: Work): Promise<boolean> {
    const { stage, describe, ports } = this.#options
    const vertex = stageOf(describe(), stage, 0)
    if (!hasSource(vertex)) {
      if (work.kind === 'poke') return false
      ports.count('batch-before-activation')
      throw notActivated(this.log)
    }
    if (work.kind === 'poke') return false // who ends its parents starts it
    await this.#drop()
    await this.#splits.start(this.#options.subtask, work.attempt)
    return true
  }

  get #splits(): SplitStart {
    const stream = this.#memory?.live.source?.source.stream
    return new SplitStart(this.#options, (subtask) => new StageSubtask({ ...this.#options, subtask }), stream)
  }

  /** A source's split that has ended sees to it that those that continue it begin: whoever ended it may not have come that far. */
  async #atRest({ head, live }: Memory, work: Work): Promise<void> {
    if (head.life !== 'ended' || work.kind !== 'poke') return
    this.#options.ports.count('ended-poked')
    if (live.source !== undefined) await this.#splits.startSuccessors(head)
  }

  // --- committing --------------------------------------------------------------------------------------------------------

  /** Does some work and commits it. `rest`: there was nothing (more) to do. */
  async #commit(memory: Memory, work: Work): Promise<'rest' | 'more' | 'lost' | 'again'> {
    const { live } = memory
    const { ports } = this.#options
    live.options.time.enter(memory.head.lastNow)
    live.sweepBudget = this.#settings.sweepTimers
    let step: Step | undefined
    try {
      step = await this.#step(memory, work)
    } catch (error) {
      if (!this.#buries(live, error)) throw error
      await this.#drop()
      return 'again'
    }
    const prepared = await this.#prepare(memory, step ?? { progressed: false, kind: 'CTL', more: false })
    if (prepared === undefined) return 'rest'
    const version = memory.version + 1
    const expiresAtMs = ports.clock.now() + this.#settings.logRetentionMs
    if ((await ports.log.append(this.log, { version, payload: encodeCommit(prepared.record), expiresAtMs })) === 'lost') {
      ports.count('commit-lost')
      await this.#drop()
      return 'lost'
    }
    ports.count('commit')
    await this.#committed(memory, version, prepared)
    return step?.more === true || (live.input?.stashed ?? 0) > 0 ? 'more' : 'rest'
  }

  #prepare({ version, head, control, live }: Memory, step: Step): Promise<PreparedCommit | undefined> {
    const { ports, deployment } = this.#options
    const place = { log: this.log, plan: deployment.plan, version: version + 1, head, completed: control.completed, live, ports }
    return prepareCommit({ ...place, settings: this.#settings }, step)
  }

  async #committed(memory: Memory, version: number, { record, outbox, operatorChanges }: PreparedCommit): Promise<void> {
    memory.version = version
    memory.head = record
    memory.sent = false
    memory.live.needsBase = false
    if (operatorChanges !== undefined) memory.operatorChanges.push(operatorChanges)
    if (memory.live.input !== undefined) {
      memory.live.input.consumed = 0
      memory.live.input.accepted = 0
      this.#watchStash(memory)
    }
    await this.#send(memory, outbox)
  }

  #watchStash({ live: { input } }: Memory): void {
    const { ports } = this.#options
    if (input === undefined || input.stashed === 0) return
    ports.count('frame-stashed', input.stashed)
    if (input.gaps > 0) ports.count('gap', input.gaps)
  }

  /** More waits for a barrier than the stash may hold. (What waits for a missing frame is no reason: the frame is on its way.) */
  #isOverfull({ live: { input }, control }: Memory): boolean {
    return input !== undefined && input.stashBytes > this.#settings.stashLimitBytes && (input.waitingFor ?? 0) > control.aborted
  }

  /**
   * A checkpoint that is given up costs nothing; what waits for its barrier is then consumed. Only the job record is changed here: the other
   * subtasks are told by whoever polls the checkpoint.
   */
  async #giveUpCheckpoint(memory: Memory): Promise<void> {
    const { deployment, ports } = this.#options
    const input = memory.live.input
    assert(input?.waitingFor !== undefined, 'something waits for a barrier')
    ports.count('stash-over-limit')
    const why = `the stash of ${this.log} is full: ${input.stashBytes} bytes wait for its barrier`
    memory.control = await JobControl.giveUp(ports, deployment.job, this.log, input.waitingFor, why)
  }

  /** Whether the batch comes again without the record that failed. */
  #buries(live: LiveStage, error: unknown): boolean {
    const failed = live.processing
    if (failed === undefined) return false
    this.#options.ports.count('record-failed')
    if (this.#settings.failingRecords === 'fail' || this.#skips.has(failed.id)) return false
    this.#skips.set(failed.id, failed.precise ? String((error as Partial<MillraceError>)?.message ?? error) : '')
    return true
  }

  // --- processing --------------------------------------------------------------------------------------------------------

  async #step(memory: Memory, work: Work): Promise<Step | undefined> {
    const { head, control, live } = memory
    const { ports } = this.#options
    if (head.life === 'ended') return undefined
    if (head.life === 'stopped') {
      if (control.aborted < head.epoch) return undefined
      ports.count('stop-undone')
      return { progressed: true, kind: 'CTL', resumed: true, more: true }
    }
    return live.input === undefined ? this.#read(memory, work) : this.#receive(memory, work)
  }

  async #read({ live, control }: Memory, work: Work): Promise<Step | undefined> {
    const { ports } = this.#options
    if (control.begun > live.epoch && control.begun > control.aborted) {
      ports.count('cut-source')
      if (control.stop) ports.count('stopped')
      return { progressed: true, kind: 'CTL', cut: { epoch: control.begun, stop: control.stop }, more: work.kind !== 'poke' }
    }
    if (control.begun > live.epoch) ports.count('cut-skipped-aborted')
    if (work.kind !== 'batch') {
      const successors = work.kind === 'end' ? await this.#splits.successors() : await this.#splits.ifDrained(live.position)
      if (successors !== undefined) return this.#end(live, successors)
      live.endOfBatch()
      return { progressed: false, kind: 'CTL', more: false }
    }
    const budget = new CommitBudget(ports.clock, this.#settings)
    let taken = 0
    let more = false
    for (const record of work.records) {
      if (live.position !== undefined && record.position <= live.position) continue
      // What lies before a record that fails is committed first, so that each try comes further.
      if (budget.spent || (taken > 0 && live.failedBefore(record))) {
        ports.count('commit-by-budget')
        more = true
        break
      }
      live.readRecord(record)
      live.position = record.position
      budget.spend(1, record.data.length)
      taken++
    }
    if (taken === 0) return undefined
    live.endOfBatch()
    return { progressed: true, kind: 'BATCH', more }
  }

  #end(live: LiveStage, successors: readonly Successor[]): Step {
    this.#options.ports.count('split-ended')
    live.endInput(successors.length === 0)
    return { progressed: true, kind: 'CTL', end: { successors }, more: false }
  }

  async #receive({ live, control }: Memory, work: Work): Promise<Step | undefined> {
    const { ports, subtask } = this.#options
    const input = live.input
    assert(input !== undefined, 'a stage without source has inputs')
    const before = live.position
    const budget = new CommitBudget(ports.clock, this.#settings)
    const drain = async () => {
      let result = input.drain(control.aborted, budget)
      while (await live.settle((ms) => ports.pause(ms))) result = input.drain(control.aborted, budget)
      return result
    }
    let drained = await drain()
    for (const { position, data } of work.kind === 'batch' ? work.records : []) {
      if (drained.kind === 'interrupted' || drained.cut !== undefined) break
      if (live.position !== undefined && position <= live.position) continue
      live.position = position
      if (input.accept(data, `record ${position} of subtask ${subtask}`)) drained = await drain()
    }
    const kind = live.position === before ? 'CTL' : 'BATCH'
    const progressed = input.consumed + input.accepted > 0 || kind === 'BATCH'
    if (drained.kind === 'interrupted') {
      ports.count('commit-by-budget')
      return { progressed: true, kind, more: true }
    }
    if (drained.cut !== undefined) {
      ports.count('cut-aligned')
      if (drained.cut.stop) ports.count('stopped')
      // Behind a cut there may be more in the batch, or frames that waited for it.
      return { progressed: true, kind, cut: drained.cut, more: true }
    }
    if (input.allEnded) {
      ports.count('subtask-ended')
      live.endInput(true)
      await live.settle((ms) => ports.pause(ms))
      return { progressed: true, kind, end: { successors: [] }, more: false }
    }
    live.endOfBatch()
    return { progressed, kind, more: live.sweepPending }
  }

  // --- delivering --------------------------------------------------------------------------------------------------------

  /**
   * The head's outbox has arrived if this instance sent it, or if a batch from behind the head's is here: the one before was then
   * acknowledged by whoever committed the head.
   */
  async #ensureSent(memory: Memory, work: Work): Promise<void> {
    const { head, version } = memory
    const { ports } = this.#options
    if (memory.sent || head.outbox === null) return
    if (head.kind === 'BATCH' && work.kind === 'batch' && work.records[0].position > BigInt(head.position as string)) {
      ports.count('outbox-known-sent')
      memory.sent = true
      return
    }
    ports.count('outbox-sent-again')
    await this.#send(memory, decodeOutbox(await loadPart(ports.parts, this.log, version, head.outbox)))
  }

  async #send(memory: Memory, outbox: Outbox): Promise<void> {
    const { stage, subtask, ports } = this.#options
    const { live, version } = memory
    await deliver(outbox, {
      channel: (receiver) => ports.channel(receiver),
      sink: async (entry) => {
        const sink = live.sinks.get(entry.uid)
        assert(sink !== undefined, 'an outbox holds batches for the sinks of its stage')
        await sink.write(entry)
      },
      deadLetter: (index, letter) => ports.deadLetters.write(`${this.log}/${version}/${index}`, letter),
      wakeUp: (atMs) => ports.pokes.poke({ stage, subtask }, atMs),
      acknowledge: (ack) => this.#acknowledge(memory, ack),
      pause: (ms) => ports.pause(ms),
    })
    memory.sent = true
  }

  async #acknowledge({ live, head }: Memory, ack: StageAck): Promise<void> {
    const { deployment, ports } = this.#options
    const { graph } = live.options.job
    const version = live.source === undefined ? innerOrdinal(graph, ack.stage, ack.index) : splitOrdinal(graph, ack.index)
    const name = ack.ended ? endedLogName(deployment, head.attempt) : acksLogName(deployment, head.attempt, ack.checkpointId)
    const expiresAtMs = ack.ended ? undefined : ports.clock.now() + this.#settings.logRetentionMs
    // `lost` says that it has been acknowledged before.
    const place = partPlace(ports, name, version, this.#settings.inlineBytes)
    await ports.log.append(name, { version, payload: await storeAck(place, ack), expiresAtMs })
  }
}

/** A fork runs the same module under another name: what it writes outside is its own. */
function named(job: CompiledJob, name: string): CompiledJob {
  return job.graph.job === name ? job : { ...job, graph: { ...job.graph, job: name } }
}

function controlOf(item: ControlItem | undefined): SubtaskControl {
  return item === undefined ? NO_CONTROL : (unpack(item.payload) as SubtaskControl)
}

/** Operator state as of the newest commit. */
function statesOf({ operatorStates, operatorChanges }: Memory): ReadonlyMap<string, readonly unknown[]> {
  const states = new Map(operatorStates)
  for (const packed of operatorChanges) {
    for (const [uid, changes] of unpack(packed) as [string, unknown][]) states.set(uid, foldChanges(states.get(uid) ?? [], changes))
  }
  return states
}

/** Sources have as many subtasks as there are splits. */
function stageOf(job: CompiledJob, stage: string, index: number): VertexPlan {
  const vertex = job.graph.vertices.find(({ id }) => id === stage)
  if (vertex === undefined) throw noSuchStage(job.graph.job, stage, 'the job has no such stage')
  if (hasSource(vertex) || index < vertex.parallelism) return vertex
  throw noSuchStage(job.graph.job, stage, `it has ${vertex.parallelism} subtasks, and a batch came for subtask ${index}`)
}
