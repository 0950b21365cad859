import { assert, type JobParameters, type MillraceError } from '../core/index.js'
import { isKeyError, isKeyTypeError } from '../exchange/key-error.js'
import type { CompiledJob } from '../plan/index.js'
import { type CommitRecord, encodeCommit } from './commit-record.js'
import { JobControl } from './job-control.js'
import type { LiveStage } from './live-stage.js'
import { type StagePlace, vertexOf } from './open-stage.js'
import type { Failure } from './record-failures.js'
import type { StreamRecord } from './record-stream-source.js'
import { SplitStart } from './split-start.js'
import { type PreparedCommit, prepareCommit, type Step } from './stage-commit.js'
import { compact, compacted, dueCompaction } from './stage-compaction.js'
import { StageDelivery } from './stage-delivery.js'
import { notActivated, onHold, tooManyLosses } from './stage-errors.js'
import { admits, mayStartAnew } from './stage-fence.js'
import { type Memory, noteCommit, StageMemory } from './stage-memory.js'
import { type Deployment, hasSource, subtaskLogName } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'
import { DEFAULT_STAGE_SETTINGS, type StageSettings } from './stage-settings.js'
import { takeStep } from './stage-step.js'

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
  /** A message, a tick, a wake-up: log, control item and clock say what there is to do. `again`: it has come before, and whoever got it has failed. */
  | { readonly kind: 'poke'; readonly again?: boolean }

/** What a subtask is asked to do, with what only its own stage asks of it: to end a split whose successors have begun. */
export type Work = StageCall | { readonly kind: 'end'; readonly attempt: number }

const MOST_LOSSES = 20

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
  readonly #place: StagePlace
  readonly #memory: StageMemory
  readonly #delivery: StageDelivery
  /** Records that fail, by where they stand, with the error; frames to be taken record by record, to find the one that fails. */
  #skips = new Map<string, Failure>()
  /** The last base that was written has too many segments, and nobody has been asked to merge them. */
  #compactionDue = false

  constructor(options: StageSubtaskOptions) {
    this.#place = { ...options, settings: { ...DEFAULT_STAGE_SETTINGS, ...options.settings } }
    this.log = subtaskLogName(options.deployment, options.stage, options.subtask)
    this.#memory = new StageMemory(this.#place, this.log, () => this.#skips)
    this.#delivery = new StageDelivery(this.#place, this.log)
  }

  /** When it returns, everything there was to do is committed and has arrived. What it throws says that the batch must come again. */
  async invoke(call: StageCall): Promise<void> {
    if (call.kind === 'batch' && call.records.length === 0) return
    await this.#guarded(() => this.#work(call))
    await this.#memory.dropIfTooLarge()
  }

  /** Bytes that it takes in memory, about: keyed state, its changes since the last base, frames that wait. */
  get memoryBytes(): number {
    const { live, logged } = this.#memory.current ?? {}
    if (live === undefined || logged === undefined) return 0
    return live.state.bytes(logged) + logged.tailBytes + (live.input?.stashBytes ?? 0)
  }

  /** What it has in memory would not be used again. */
  get isStale(): boolean {
    return this.#memory.isTooOld
  }

  /** Lets go of what it has in memory: the next invocation starts cold. */
  async release(): Promise<void> {
    await this.#memory.drop()
  }

  /** Ends a source's split that has been read to its end: what continues it has begun. */
  async endSplit(attempt: number): Promise<CommitRecord> {
    await this.#guarded(() => this.#work({ kind: 'end', attempt }))
    const head = this.#memory.current?.head
    // A stop came between.
    if (head?.life !== 'ended') throw onHold(this.log)
    return head
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      await this.#memory.drop()
      throw error
    } finally {
      this.#skips = new Map()
    }
  }

  async #work(work: Work): Promise<void> {
    const fence = { log: this.log, count: (event: Parameters<StagePorts['count']>[0]) => this.#place.ports.count(event) }
    let memory = await this.#memory.load()
    let relieved = false
    for (let losses = 0; ; ) {
      if (memory === undefined || mayStartAnew(memory, work)) {
        if (!(await this.#start(work))) return
        memory = await this.#memory.load()
        continue
      }
      if (!admits(memory, work, fence)) return
      await this.#delivery.ensureSent(memory, work)
      if (!relieved && this.#isOverfull(memory)) {
        relieved = true
        await this.#giveUpCheckpoint(memory)
      }
      const outcome = await this.#commit(memory, work)
      if (outcome === 'rest') return this.#atRest(memory, work)
      if (outcome === 'lost' && ++losses > MOST_LOSSES) throw tooManyLosses(this.log, losses)
      const { version } = memory
      const dropped = outcome === 'more' && (await this.#memory.dropIfTooLarge())
      // Behind a stash a control item may have come that lets it be consumed.
      if (outcome !== 'more' || dropped || (memory.live.input?.stashed ?? 0) > 0) {
        memory = await this.#memory.load()
        // A record that failed is left out the next time; what was sent before it has arrived all the same.
        if ((outcome === 'again' || dropped) && memory?.version === version) memory.sent = true
      }
    }
  }

  // --- sources' splits ---------------------------------------------------------------------------------------------------

  /** The subtask has no log. True when it has begun one. */
  async #start(work: Work): Promise<boolean> {
    const { stage, subtask, describe, ports } = this.#place
    if (!hasSource(vertexOf(describe(), stage, 0))) {
      if (work.kind === 'poke') return false
      ports.count('batch-before-activation')
      throw notActivated(this.log)
    }
    if (work.kind === 'poke') return false // who ends its parents starts it
    await this.#memory.drop()
    await this.#splits.start(subtask, work.attempt)
    return true
  }

  get #splits(): SplitStart {
    const stream = this.#memory.current?.live.source?.source.stream
    return new SplitStart(this.#place, (subtask) => new StageSubtask({ ...this.#place, subtask }), stream)
  }

  /** A source's split that has ended sees to it that those that continue it begin: whoever ended it may not have come that far. */
  async #atRest(memory: Memory, work: Work): Promise<void> {
    const { head, live } = memory
    // Who is poked compacts anyhow: pokes would multiply if it asked for more of them.
    if (head.life === 'running') return work.kind === 'poke' ? this.#compact(memory) : this.#askForCompaction()
    if (work.kind !== 'poke' || head.life !== 'ended') return
    this.#place.ports.count('ended-poked')
    if (live.source !== undefined) await this.#splits.startSuccessors(head)
  }

  /** Merges segments of the base where there are too many, and swaps them in by a commit like any other. If one is lost, what was merged still counts. */
  async #compact(memory: Memory): Promise<void> {
    const { ports, settings } = this.#place
    const due = dueCompaction(memory.logged.base, settings)
    if (due === undefined) return
    const compaction = await compact(due, memory.logged.base, memory.live, ports, settings)
    for (let current: Memory | undefined = memory, losses = 0; current?.head.life === 'running' && losses < MOST_LOSSES; losses++) {
      const base = compacted(current.logged.base, compaction)
      if (base === undefined) return ports.count('compaction-superseded')
      await this.#delivery.ensureSent(current, { kind: 'poke' })
      current.logged = current.logged.withBase(base)
      if ((await this.#append(current, { progressed: false, kind: 'CTL', compacted: true, more: false })) !== 'lost') {
        ports.count('compaction')
        return this.#askForCompaction()
      }
      current = await this.#memory.load()
    }
  }

  // --- committing --------------------------------------------------------------------------------------------------------

  /** Does some work and commits it. `rest`: there was nothing (more) to do. */
  async #commit(memory: Memory, work: Work): Promise<'rest' | 'more' | 'lost' | 'again'> {
    const { live } = memory
    const { subtask, ports, settings } = this.#place
    live.options.time.enter(memory.head.lastNow)
    live.sweep.budget = settings.sweepTimers
    let step: Step | undefined
    try {
      step = await takeStep({ subtask, ports, settings, splits: this.#splits }, memory, work)
    } catch (error) {
      if (!this.#buries(live, error)) throw error
      await this.#memory.drop()
      return 'again'
    }
    const outcome = await this.#append(memory, step ?? { progressed: false, kind: 'CTL', more: false })
    if (outcome !== 'committed') return outcome
    return step?.more === true || (live.input?.stashed ?? 0) > 0 ? 'more' : 'rest'
  }

  /** Commits what the step did. `rest`: it did nothing. */
  async #append(memory: Memory, step: Step): Promise<'rest' | 'lost' | 'committed'> {
    const { ports, settings } = this.#place
    const prepared = await this.#prepare(memory, step)
    if (prepared === undefined) return 'rest'
    const version = memory.version + 1
    const expiresAtMs = ports.clock.now() + settings.logRetentionMs
    if ((await ports.log.append(this.log, { version, payload: encodeCommit(prepared.record), expiresAtMs })) === 'lost') {
      ports.count('commit-lost')
      await this.#memory.drop()
      return 'lost'
    }
    ports.count('commit')
    const late = memory.live.takeLate()
    if (late > 0) ports.count('late-record-dropped', late)
    await this.#committed(memory, version, prepared)
    return 'committed'
  }

  #prepare({ version, head, control, live, logged }: Memory, step: Step): Promise<PreparedCommit | undefined> {
    const { ports, deployment, settings } = this.#place
    return prepareCommit({ log: this.log, plan: deployment.plan, version: version + 1, head, control, live, logged, ports, settings }, step)
  }

  async #committed(memory: Memory, version: number, prepared: PreparedCommit): Promise<void> {
    const { outbox, base } = prepared
    noteCommit(memory, version, prepared)
    if (memory.live.input !== undefined) {
      memory.live.input.consumed = 0
      memory.live.input.accepted = 0
      this.#watchStash(memory)
    }
    await this.#delivery.send(memory, outbox)
    if (base !== undefined) this.#compactionDue = dueCompaction(base, this.#place.settings) !== undefined
  }

  /** Compaction is not to keep a batch waiting. A poke that is lost comes with the next base. */
  async #askForCompaction(): Promise<void> {
    if (!this.#compactionDue) return
    this.#compactionDue = false
    const { stage, subtask, ports } = this.#place
    await ports.pokes.poke({ stage, subtask }, ports.clock.now())
  }

  #watchStash({ live: { input } }: Memory): void {
    const { ports } = this.#place
    if (input === undefined || input.stashed === 0) return
    ports.count('frame-stashed', input.stashed)
    if (input.gaps > 0) ports.count('gap', input.gaps)
  }

  /** More waits for a barrier than the stash may hold. (What waits for a missing frame is no reason: the frame is on its way.) */
  #isOverfull({ live: { input }, control }: Memory): boolean {
    return input !== undefined && input.stashBytes > this.#place.settings.stashLimitBytes && (input.waitingFor ?? 0) > control.aborted
  }

  /**
   * A checkpoint that is given up costs nothing; what waits for its barrier is then consumed. Only the job record is changed here: the other
   * subtasks are told by whoever polls the checkpoint.
   */
  async #giveUpCheckpoint(memory: Memory): Promise<void> {
    const { deployment, ports } = this.#place
    const input = memory.live.input
    assert(input?.waitingFor !== undefined, 'something waits for a barrier')
    ports.count('stash-over-limit')
    const why = `the stash of ${this.log} is full: ${input.stashBytes} bytes wait for its barrier`
    memory.control = await JobControl.giveUp(ports, deployment.job, this.log, input.waitingFor, why)
  }

  /** Whether the batch comes again without the record that failed. */
  #buries({ failures, currentKey }: LiveStage, error: unknown): boolean {
    const failed = failures.processing
    if (failed === undefined) return false
    this.#place.ports.count('record-failed')
    // That all keys are of another type is nothing that is wrong with the record.
    if (this.#place.settings.failingRecords === 'fail' || isKeyTypeError(error) || this.#skips.has(failed.id)) return false
    const { message, uid = null } = (error ?? {}) as Partial<MillraceError>
    this.#skips.set(failed.id, { error: failed.precise ? (message ?? String(error)) : '', uid, key: isKeyError(error) ? null : currentKey })
    return true
  }
}
