import { assert, type JobParameters, MillraceError } from '../core/index.js'
import type { CompiledJob, VertexPlan } from '../plan/index.js'
import { pack } from '../state/index.js'
import { type CommitRecord, encodeCommit, loadPart, type Part, storePart } from './commit-record.js'
import { LiveStage } from './live-stage.js'
import { decodeOutbox, deliver, encodeOutbox, isEmpty, type Outbox, type StageAck } from './outbox.js'
import type { StreamRecord } from './record-stream-source.js'
import { acksLogName, type Deployment, subtaskLogName, subtaskOrdinal } from './stage-names.js'
import type { StagePorts } from './stage-ports.js'
import { recover } from './stage-recovery.js'

export interface StageSubtaskOptions {
  readonly deployment: Deployment
  /** Describes the job anew: each cold start has function objects of its own. */
  describe(): CompiledJob
  /** Id of the stage, which is a vertex of the plan. */
  readonly stage: string
  readonly subtask: number
  readonly attempt: number
  readonly parameters: JobParameters
  readonly ports: StagePorts
  /** Commits after which the whole state becomes a new base, so that a cold start reads no more than these. */
  readonly longestTail?: number
}

const LONGEST_TAIL = 256
/** The stream's batches of one subtask come one at a time, so only a barrier's message can race with them. */
const MOST_LOSSES = 10

/**
 * One subtask of a stage on AWS. It lives in invocations: catch up with the log, process in memory, one conditional put, deliver.
 *
 * I1  Version v of the log is written once; whoever loses drops its memory and reads the log.
 * I2  Nothing leaves before the commit that holds it is won.
 * I3  The outbox of version v has arrived before version v + 1 is written.
 * I4  Whatever throws leaves no memory behind.
 *
 * Not handled yet, and refused with an error: restores (attempts other than this one: BATCH_REFUSED), changed plans, sources that end or are
 * resharded, processing-time timers, operators with two inputs or with operator state, sinks that commit (all PLAN_INVALID).
 * Not handled yet, and not wrong:
 * - sinks have no markers, so they are at least once;
 * - there are no ticks: a source that is idle does not say so while no batch comes to it;
 * - a batch is one commit however large it is, and a gap in a channel, which holds it back, raises no alarm;
 * - log items, parts and the segments they refer to are never deleted;
 * - a checkpoint whose barrier reached only some of the sources holds their data back (in the stash) until a later one reaches all.
 */
export class StageSubtask {
  readonly log: string
  readonly #options: StageSubtaskOptions
  #live: LiveStage | undefined
  /** The version whose outbox this instance has sent. */
  #sentVersion = 0

  constructor(options: StageSubtaskOptions) {
    this.#options = options
    this.log = subtaskLogName(options.deployment, options.stage, options.subtask)
  }

  /**
   * Takes a batch of the stage's stream, of one shard and in its order; what it has taken before it does not take again. An empty batch is a
   * tick: periodic watermarks. When it returns, the batch is committed and its results have arrived.
   */
  batch(records: readonly StreamRecord[], splitId: string): Promise<void> {
    return this.#guarded(() => this.#commits(records, (live) => this.#processBatch(live, records, splitId)))
  }

  /** Cuts a source at checkpoint `checkpointId`; nothing happens when it has been cut there. */
  barrier(checkpointId: number): Promise<void> {
    return this.#guarded(() =>
      this.#commits([], async (live) => {
        if (live.source === undefined) throw notASource(this.#options.stage)
        if (live.epoch >= checkpointId) return undefined
        return { kind: 'CTL', cut: checkpointId, more: false }
      }),
    )
  }

  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      await this.#drop()
      throw error
    }
  }

  async #drop(): Promise<void> {
    const live = this.#live
    this.#live = undefined
    this.#sentVersion = 0
    await live?.close().catch(() => {}) // what failed before is what matters
  }

  /** Lets `step` change the subtask and commits what it did, until there is nothing more to do. */
  async #commits(records: readonly StreamRecord[], step: (live: LiveStage) => Promise<Step | undefined>): Promise<void> {
    let live = await this.#load()
    for (let losses = 0; ; ) {
      await this.#ensureSent(live, records)
      live.time.enter(live.head?.lastNow ?? Number.NEGATIVE_INFINITY)
      const done = await step(live)
      if (done === undefined) return
      const { record, outbox } = await this.#prepare(live, done)
      const outcome = await this.#options.ports.log.append(this.log, { version: live.version + 1, payload: encodeCommit(record) })
      if (outcome === 'won') {
        live.version++
        live.head = record
        live.needsBase = false
        await this.#send(live, outbox)
        if (!done.more) return
      } else {
        if (++losses > MOST_LOSSES) throw tooManyLosses(this.log)
        await this.#drop()
        live = await this.#load()
      }
    }
  }

  /** The subtask as of the newest version. Whoever missed a version starts cold. */
  async #load(): Promise<LiveStage> {
    const { ports } = this.#options
    if (this.#live !== undefined) {
      const missed = await ports.log.read(this.log, this.#live.version)
      if (missed.length === 0) return this.#live
      await this.#drop()
    }
    this.#live = await this.#open()
    return this.#live
  }

  async #open(): Promise<LiveStage> {
    const { deployment, describe, stage, subtask, attempt, parameters, ports } = this.#options
    const recovered = await recover(ports, this.log)
    if (recovered.head !== undefined) {
      if (recovered.head.plan !== deployment.plan) throw otherPlan(this.log, recovered.head.plan, deployment)
      if (recovered.head.attempt !== attempt) throw otherAttempt(this.log, recovered.head.attempt, attempt)
    }
    const job = describe()
    const vertex = stageOf(job, stage, subtask)
    return LiveStage.open({ job, vertex, subtask, attempt, parameters, clock: ports.clock, random: () => ports.random() }, recovered)
  }

  // --- processing --------------------------------------------------------------------------------------------------------

  async #processBatch(live: LiveStage, records: readonly StreamRecord[], splitId: string): Promise<Step | undefined> {
    const done = live.input === undefined ? this.#read(live, records, splitId) : this.#receive(live, records, splitId)
    if (done !== undefined) live.endOfBatch()
    return done
  }

  #read(live: LiveStage, records: readonly StreamRecord[], splitId: string): Step | undefined {
    const fresh = records.filter(({ position }) => live.position === undefined || position > live.position)
    if (fresh.length === 0 && records.length > 0) return undefined
    for (const record of fresh) {
      live.readRecord(record, splitId)
      live.position = record.position
      live.splitId = splitId
    }
    return { kind: fresh.length > 0 ? 'BATCH' : 'CTL', cut: undefined, more: false }
  }

  #receive(live: LiveStage, records: readonly StreamRecord[], splitId: string): Step | undefined {
    const input = live.input as NonNullable<LiveStage['input']>
    const before = live.position
    let { consumed, cut } = input.drain()
    let taken = 0
    for (const { position, data } of records) {
      if (cut !== undefined) break
      if (live.position !== undefined && position <= live.position) continue
      live.position = position
      live.splitId = splitId
      if (!input.accept(data, `record ${position} of ${splitId}`)) continue
      taken++
      const drained = input.drain()
      consumed += drained.consumed
      cut = drained.cut
    }
    if (consumed === 0 && taken === 0 && cut === undefined) return undefined
    // Behind a cut there may be more in the batch, or frames that waited for it.
    return { kind: live.position === before ? 'CTL' : 'BATCH', cut, more: cut !== undefined }
  }

  // --- committing --------------------------------------------------------------------------------------------------------

  async #prepare(live: LiveStage, { kind, cut }: Step): Promise<{ record: CommitRecord; outbox: Outbox }> {
    const { longestTail = LONGEST_TAIL } = this.#options
    const version = live.version + 1
    const frames = live.takeFrames()
    const sinks = live.takeSinkBatches()
    const base = live.head?.base ?? { version: 1, segments: {} }
    const rebased = cut !== undefined || live.needsBase || version - base.version >= longestTail
    const segments = live.takeSegments(rebased)
    const stash = live.input?.takeStashed(rebased) ?? []
    let ack: StageAck | null = null
    if (cut !== undefined) {
      frames.push(...live.enterEpoch(cut))
      ack = await this.#snapshot(live, cut, segments)
    }
    const outbox: Outbox = { frames, sinks, ack }
    const record: CommitRecord = {
      format: 1,
      plan: this.#options.deployment.plan,
      kind,
      ...live.facts,
      base: rebased ? { version, segments: Object.fromEntries(ack?.operators.map(({ uid, keyed }) => [uid, keyed]) ?? []) } : base,
      deltas: ack === null ? await Promise.all(segments.map(async ([uid, bytes]) => [uid, await this.#store(version, bytes)] as const)) : [],
      stash: stash.length === 0 ? null : await this.#store(version, pack(stash)),
      outbox: isEmpty(outbox) ? null : await this.#store(version, encodeOutbox(outbox)),
    }
    return { record, outbox }
  }

  #store(version: number, bytes: Uint8Array): Promise<Part> {
    const { ports } = this.#options
    return storePart(ports.parts, this.log, version, bytes, () => ports.nonce())
  }

  async #snapshot(live: LiveStage, checkpointId: number, segments: readonly (readonly [string, Uint8Array])[]): Promise<StageAck> {
    const { subtask, ports } = this.#options
    const operators: StageAck['operators'][number][] = []
    for (const { uid, operatorState } of live.operatorStates) {
      const bytes = segments.find(([owner]) => owner === uid)?.[1]
      const keyed = bytes === undefined ? [] : [await ports.checkpoints.writeSegment(uid, subtask, checkpointId, bytes)]
      operators.push({ uid, subtask, keyed, operatorState })
    }
    return { checkpointId, operators }
  }

  // --- delivering --------------------------------------------------------------------------------------------------------

  /**
   * The head's outbox has arrived if this instance sent it, or if a batch from behind the head's is here: the one before was then
   * acknowledged by whoever committed the head.
   */
  async #ensureSent(live: LiveStage, records: readonly StreamRecord[]): Promise<void> {
    const { head, version } = live
    if (head === undefined || this.#sentVersion === version) return
    const acknowledged = head.kind === 'BATCH' && records.length > 0 && records[0].position > BigInt(head.position as string)
    if (acknowledged || head.outbox === null) {
      this.#sentVersion = version
      return
    }
    await this.#send(live, decodeOutbox(await loadPart(this.#options.ports.parts, this.log, version, head.outbox)))
  }

  async #send(live: LiveStage, outbox: Outbox): Promise<void> {
    const { ports } = this.#options
    const { version } = live
    await deliver(outbox, {
      channel: (stage) => ports.channel(stage),
      sink: async (uid, batch) => {
        const sink = live.sinks.get(uid)
        assert(sink !== undefined, 'an outbox holds batches for the sinks of its stage')
        await sink.write(version, batch)
      },
      acknowledge: (ack) => this.#acknowledge(live, ack),
      pause: (ms) => ports.pause(ms),
    })
    this.#sentVersion = version
  }

  async #acknowledge(live: LiveStage, ack: StageAck): Promise<void> {
    const { deployment, ports } = this.#options
    const { job, vertex, subtask } = live.options
    // `lost` says that it has been acknowledged before.
    await ports.log.append(acksLogName(deployment, ack.checkpointId), { version: subtaskOrdinal(job.graph, vertex, subtask), payload: pack(ack) })
  }
}

/** What one commit did. */
interface Step {
  readonly kind: CommitRecord['kind']
  /** The checkpoint whose barrier the commit ends with. */
  readonly cut: number | undefined
  readonly more: boolean
}

function stageOf(job: CompiledJob, stage: string, subtask: number): VertexPlan {
  const vertex = job.graph.vertices.find(({ id }) => id === stage)
  if (vertex !== undefined && subtask < vertex.parallelism) return vertex
  throw new MillraceError('PLAN_INVALID', {
    what:
      vertex === undefined
        ? `the job has no stage "${stage}"`
        : `stage "${stage}" has ${vertex.parallelism} subtasks, and a batch came for subtask ${subtask}`,
    where: `job "${job.graph.job}"`,
    todo: 'Deploy the job again: its functions are from one plan and its streams from another, or a stream was resharded by hand.',
  })
}

function notASource(stage: string): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: `stage "${stage}" has no source, and a barrier was sent to it`,
    todo: 'Checkpoints begin at sources; other stages hear of them from these.',
  })
}

function otherPlan(log: string, logged: string, { job, plan, revision }: Deployment): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: `the state of job "${job}" was written under the plan ${logged}, and the function runs the plan ${plan}`,
    where: `log ${log}`,
    todo: `Deploy the job as it was, or start it without its state under another revision than "${revision}". Upgrades in place are not there yet.`,
  })
}

function otherAttempt(log: string, logged: number, attempt: number): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: `the log is of attempt ${logged}, this function of attempt ${attempt}`,
    where: `log ${log}`,
    todo: 'Restores on AWS are not there yet: deploy the job under another revision.',
  })
}

function tooManyLosses(log: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: `another instance committed first ${MOST_LOSSES} times in a row`,
    where: `log ${log}`,
    todo: 'The batch is delivered again.',
  })
}
