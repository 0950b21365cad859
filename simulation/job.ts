import { CommandLineParameters } from '../runtime/api/job-parameters.js'
import { MemorySourceStreams } from '../runtime/backends/memory/index.js'
import { manifestName } from '../runtime/checkpoint/checkpoint-names.js'
import { decodeJobRecord, type JobRecord, type ManifestRef } from '../runtime/checkpoint/job-record.js'
import { restricted } from '../runtime/checkpoint/keyed-restore.js'
import type { SegmentRef } from '../runtime/checkpoint/manifest.js'
import { decodeManifest } from '../runtime/checkpoint/manifest-codec.js'
import type { SourcePosition } from '../runtime/checkpoint/stage-ack.js'
import { MillraceError, type SinkMarker } from '../runtime/core/index.js'
import { type CompiledJob, type JobGraph, vertexOf } from '../runtime/plan/index.js'
import type { Channel, ControlItem, PokeTarget } from '../runtime/ports/index.js'
import { type DecodedSegment, decodeSegment, type KeyGroupRange, keyGroupRange } from '../runtime/state/index.js'
import { type BaseState, decodeBase, EMPTY_BASE } from '../runtime/task/base-state.js'
import { type CleanedUp, cleanUp } from '../runtime/task/clean-up.js'
import { type CommitRecord, partOf } from '../runtime/task/commit-record.js'
import { JobControl } from '../runtime/task/job-control.js'
import { fenceSinks } from '../runtime/task/sink-fence.js'
import { type Deployment, hasSource, jobLogName, subtaskLogName } from '../runtime/task/stage-names.js'
import type { DeadLetter } from '../runtime/task/stage-ports.js'
import { type StageCall, StageSubtask } from '../runtime/task/stage-subtask.js'
import { CheckpointFolder } from './folder.js'
import { StageFunction } from './functions.js'
import { JobObserver } from './invariants.js'
import { Mapping } from './mapping.js'
import { Program } from './program.js'
import { type ColdState, coldState, rowsOf } from './replay.js'
import { type Backing, portsOf } from './stage-ports.js'
import { type Applied, Outside } from './stores.js'
import type { World } from './world.js'

/** One deployment of the job: functions, streams between them and what reads these. */
export interface Revision {
  readonly deployment: Deployment
  readonly graph: JobGraph
  readonly parallelism: number
  readonly functions: ReadonlyMap<string, StageFunction>
  readonly mappings: readonly Mapping[]
  readonly backing: Backing
}

/** What reads the sources' streams: for the attempt that its alias names. */
interface SourceReaders {
  revision: Revision
  attempt: number
  readonly mappings: Mapping[]
}

export interface Refused {
  readonly refused: string
}

/** What failing ports and lost races lead to. */
const EXPLAINED: readonly string[] = ['AWS_CALL', 'BATCH_REFUSED', 'ACTIVATION_REFUSED']
const PARAMETERS = CommandLineParameters.from([])
const STEP_TIMEOUT_MS = 15 * 60_000
/** A message of the queue waits no longer. */
const LONGEST_DELAY_MS = 15 * 60_000
const MOST_POKE_TRIES = 3

/** A job of the world with everything deployed for it, and the coordinator's steps. */
export class Job {
  readonly observer: JobObserver
  readonly outside: Outside
  readonly revisions: Revision[] = []
  readonly checkpoints: CheckpointFolder
  readonly letters = new Map<string, DeadLetter>()
  readonly parallelisms: number[] = []
  readers: SourceReaders | undefined
  readonly #deliveries = new Map<string, 'onCommit' | 'onCheckpoint'>()
  readonly #timeoutMs: number
  readonly #synth: Program
  #steps = 0

  constructor(
    readonly world: World,
    readonly name: string,
    /** What a fork began with. */
    readonly origin?: { readonly job: Job; readonly checkpointId: number },
  ) {
    this.checkpoints = new CheckpointFolder(name, world.checks, world.options.checked, () => this.observer, world.keptCheckpoints)
    this.observer = new JobObserver(
      name,
      world.checks,
      world.compression,
      (blob) => world.blobs.look(blob) ?? this.checkpoints.look(blob),
      () => world.now,
      (who, value) => this.checkpoints.holdsAll(who, value),
    )
    // A fork's sinks go on with what the other's state holds, so they are of the same kind.
    for (const sink of world.simulated.sinks) {
      const drawn = world.chance.happens(0.3) ? 'onCheckpoint' : 'onCommit'
      this.#deliveries.set(sink, origin === undefined ? drawn : origin.job.#deliveryOf(sink))
    }
    this.outside = new Outside(
      (marker) => (world.options.checked ? this.observer.sinkAsked(marker) : undefined),
      (sink) => this.#deliveryOf(sink),
      (marker) => this.#sinkTakes(marker),
    )
    this.#synth = new Program(world.machine, `${name}#synth`)
    this.#timeoutMs = world.options.profile.patient === true ? 2.5 * 3_600_000 : world.chance.pick([60_000, 300_000, 3_600_000])
    world.jobs.push(this)
  }

  #deliveryOf(sink: string): 'onCommit' | 'onCheckpoint' {
    return this.#deliveries.get(sink) ?? 'onCommit'
  }

  /** Once an attempt runs, nothing of former ones may reach a sink, but what was held back for a checkpoint. */
  #sinkTakes({ writer, attempt }: SinkMarker): void {
    const { record } = this
    const fenced = attempt > 0 && record?.phase === 'running' && record.attempt > attempt
    this.world.checks.hold(
      '7',
      !fenced,
      () => `${this.name}: a sink took what attempt ${attempt} of ${writer} wrote while attempt ${record?.attempt} runs`,
    )
  }

  get record(): JobRecord | undefined {
    return this.observer.record
  }

  get revision(): Revision {
    const { record } = this
    const current = this.revisions.find(({ deployment }) => deployment.revision === record?.revision)
    return current ?? (this.revisions.at(-1) as Revision)
  }

  controlled(log: string, control: ControlItem): void {
    if (log !== jobLogName(this.name)) return
    this.observer.jobRecord(decodeJobRecord(log, control))
  }

  // --- deploying ---------------------------------------------------------------------------------------------------------

  deploy(parallelism: number): Revision {
    const { world } = this
    const deployment: Deployment = { job: this.name, revision: `r${this.revisions.length + 1}`, plan: `plan-${this.revisions.length + 1}` }
    const graph = this.#describe(this.#synth, parallelism).graph
    const channels = new Map<string, Channel>()
    const functions = new Map<string, StageFunction>()
    const mappings: Mapping[] = []
    const backing: Backing = {
      log: world.log,
      parts: world.blobs,
      checkpoints: this.checkpoints,
      pokes: { poke: async (target, atMs) => this.#poked(revision, target, atMs) },
      streams: new MemorySourceStreams(world.streams),
      compression: world.compression,
      channel: (stage) => channels.get(stage) as Channel,
      letter: (id, letter) => void this.letters.set(id, letter),
      count: (event, times) => world.count(event, times),
    }
    const revision: Revision = { deployment, graph, parallelism, functions, mappings, backing }
    this.revisions.push(revision)
    this.parallelisms.push(parallelism)
    for (const vertex of graph.vertices) {
      functions.set(vertex.id, this.#function(revision, vertex.id))
      if (hasSource(vertex)) continue
      const wake = (): void => mapping.wake()
      const { stream, channel } = world.stageStream(`${this.name}/${deployment.revision}/${vertex.id}`, vertex.parallelism, (bytes) => {
        if (world.options.checked) this.observer.framePut(vertex.id, bytes)
        wake()
      })
      channels.set(vertex.id, channel)
      const mapping = new Mapping(world.machine, {
        stream,
        start: 'TRIM_HORIZON',
        invoke: (splitId, records) => this.invoke(revision, vertex.id, splitId, { kind: 'batch', records }),
        mostRecords: world.chance.pick([2, 10, 50]),
        windowMs: world.chance.pick([50, 500, 2_000]),
        bisect: world.chance.happens(0.3),
      })
      mappings.push(mapping)
    }
    return revision
  }

  #describe(program: Program, parallelism: number): CompiledJob {
    const { simulated } = this.world
    return simulated.describe(parallelism, {
      sinkFor: (name) => this.outside.sinkOf(program, name),
      chance: () => this.world.machine.chance.next(),
      throwsFor: (id) => this.world.throwsFor(id),
    })
  }

  #function(revision: Revision, stage: string): StageFunction {
    const { world } = this
    const { deployment, parallelism, backing } = revision
    return new StageFunction(world.machine, {
      name: `${this.name}/${deployment.revision}/${stage}`,
      timeoutMs: world.settings.commitMs + 40_000,
      serve: (program, subtask) =>
        new StageSubtask({
          deployment,
          describe: () => this.#describe(program, parallelism),
          stage,
          subtask,
          parameters: PARAMETERS,
          ports: portsOf(program, backing),
          settings: world.settings,
        }),
      failed: (error, program) => this.#failed(error, program, revision),
    })
  }

  /** Something was thrown out of the engine: what a failed port explains, and nothing else. */
  #failed(error: unknown, program: Program, of = this.revision): void {
    const explained =
      error instanceof MillraceError &&
      (EXPLAINED.includes(error.code) ||
        (this.world.simulated.poison?.policy === 'repair' && /is poison/.test(String(error.cause))) ||
        (program.missedBlob && /_CORRUPT$|NOT_FOUND$/.test(error.code)) ||
        // Nobody renews the log of a revision that has gone, and its stream may still hold batches.
        (of !== this.revision && /last renewed/.test(error.message)))
    this.world.checks.hold('engine', explained, () => `${program.name} threw ${(error as Error)?.stack ?? String(error)}`)
  }

  // --- invoking ----------------------------------------------------------------------------------------------------------

  invoke(revision: Revision, stage: string, subtask: string, call: StageCall): Promise<void> {
    const { world } = this
    world.underWay++
    const stageFunction = revision.functions.get(stage) as StageFunction
    return stageFunction.invoke(subtask, call, () => world.underWay--)
  }

  #poked(revision: Revision, target: PokeTarget, atMs: number): void {
    const { world } = this
    const delay = Math.min(LONGEST_DELAY_MS, Math.max(0, atMs - world.now)) + world.machine.chance.below(30)
    world.underWay++
    world.scheduler.after(delay, () => {
      world.underWay--
      // A message waits no longer than that, and is sent on.
      if (world.now < atMs) return this.#poked(revision, target, atMs)
      const old = this.revisions.length > 1 && world.faults.draw(['poke-old-revision']) !== undefined
      this.poke(old ? this.revisions[0] : revision, target)
    })
  }

  /** Pokes a subtask, and again if it fails. */
  poke(revision: Revision, { stage, subtask }: PokeTarget, tries = MOST_POKE_TRIES): void {
    if (!revision.functions.has(stage)) return
    this.invoke(revision, stage, subtask, { kind: 'poke', again: tries < MOST_POKE_TRIES }).catch(() => {
      if (tries === 1) return
      this.world.underWay++
      this.world.scheduler.after(this.world.machine.chance.between(500, 10_000), () => {
        this.world.underWay--
        this.poke(revision, { stage, subtask }, tries - 1)
      })
    })
  }

  /** A tick of the revision that runs, until it has answered. */
  tick(): void {
    const { revision } = this
    void this.step('tick', revision, (control) => control.tick('all'))
  }

  get idle(): boolean {
    const { readers, revisions } = this
    return (
      (readers === undefined || readers.mappings.every((mapping) => mapping.idle)) &&
      revisions.every(({ mappings }) => mappings.every((mapping) => mapping.idle))
    )
  }

  wakeReaders(): void {
    for (const mapping of this.readers?.mappings ?? []) mapping.wake()
  }

  // --- reading the sources -----------------------------------------------------------------------------------------------

  /** A mapping that is to go may go on for a while. */
  disableReaders(): void {
    const { faults, machine } = this.world
    for (const mapping of this.readers?.mappings ?? []) {
      if (faults.draw(['mapping-lingers']) === undefined) mapping.disable()
      else mapping.disableAfter(machine.chance.below(30_000))
    }
  }

  /** Source mappings that are there already go on for another attempt, or another revision. */
  repointReaders(revision: Revision, attempt: number): void {
    const { readers } = this
    if (readers === undefined) return
    readers.revision = revision
    readers.attempt = attempt
    for (const mapping of readers.mappings) {
      mapping.enable()
    }
  }

  /** New source mappings that begin at a time: the oldest among what the manifest has not read, less a margin. */
  readFrom(revision: Revision, attempt: number, from: ManifestRef | null): void {
    this.disableReaders()
    const readers: SourceReaders = { revision, attempt, mappings: [] }
    this.readers = readers
    const folder = from?.root === undefined ? this.checkpoints : (this.origin as { readonly job: Job }).job.checkpoints
    const name = from === null ? undefined : manifestName(from.checkpointId)
    const manifest = name === undefined ? undefined : decodeManifest(folder.lookBack(name) as Uint8Array, name)
    for (const { name } of this.world.simulated.streams) {
      const { stream } = this.world.source(name)
      const positions = (manifest?.operators.find(({ uid }) => uid === name)?.subtasks ?? []).flatMap(
        ({ operatorState }) => operatorState as readonly (SourcePosition & { readonly ended: boolean })[],
      )
      // A split that the manifest does not know has nothing older than what was last read of the split that it continues.
      const known = new Set(positions.map(({ splitId }) => splitId))
      let oldest = manifest === undefined ? 0 : this.world.now
      for (const { splitId, position, ended, successors } of positions) {
        if (ended && successors.every((successor) => known.has(successor.splitId))) continue
        const read = position === null ? undefined : stream.records(splitId).find((record) => record.position === BigInt(position))
        oldest = Math.min(oldest, read?.arrivalMs ?? 0)
      }
      const margin = this.world.chance.pick([0, 1_000, 60_000])
      const mapping = new Mapping(this.world.machine, {
        stream,
        start: manifest === undefined ? 'TRIM_HORIZON' : { atTimestampMs: oldest - margin },
        invoke: (splitId, records) => this.invoke(readers.revision, name, splitId, { kind: 'batch', records, attempt: readers.attempt }),
        mostRecords: this.world.chance.pick([2, 5, 30]),
        windowMs: this.world.chance.pick([0, 500, 2_000]),
        bisect: this.world.chance.happens(0.3),
      })
      readers.mappings.push(mapping)
    }
  }

  /** Nothing goes wrong any more with what reads streams. */
  endFaults(): void {
    for (const mapping of [...(this.readers?.mappings ?? []), ...this.revisions.flatMap(({ mappings }) => mappings)]) mapping.endFaults()
  }

  // --- the coordinator ---------------------------------------------------------------------------------------------------

  /**
   * A step of the coordinator, tried until it answers. `lives`: after so many calls the program ends, and the step is not tried again
   * (undefined is the answer then).
   */
  step<T>(what: string, revision: Revision, work: (control: JobControl, program: Program) => Promise<T>, lives?: number): Promise<T | undefined> {
    const { world } = this
    const { scheduler, machine } = { scheduler: world.scheduler, machine: world.machine }
    return new Promise((resolve) => {
      let answered = false
      const answer = (result: T | undefined): void => {
        if (answered) return
        answered = true
        resolve(result)
      }
      const again = (): void => {
        if (answered) return
        if (lives !== undefined) answer(undefined)
        else scheduler.after(machine.chance.between(500, 5_000), attempt)
      }
      const attempt = (): void => {
        if (answered) return
        const program = new Program(machine, `${this.name}#${what}.${++this.#steps}`)
        program.stallLeftMs = machine.longestStallMs
        program.callsLeft = lives ?? Number.POSITIVE_INFINITY
        world.underWay++
        let over = false
        const end = (): void => {
          if (over) return
          over = true
          timer.cancelled = true
          world.underWay--
        }
        const timer = scheduler.after(STEP_TIMEOUT_MS, again)
        program.onDeath = () => {
          end()
          again()
        }
        work(this.#control(revision, program), program).then(
          (result) => {
            world.trace.add(scheduler.now, 'step', 0, () => `${program.name} ${JSON.stringify(result)}`)
            end()
            answer(result)
          },
          (error: unknown) => {
            world.trace.add(scheduler.now, 'step threw', 0, () => `${program.name} ${String((error as Error)?.message ?? error)}`)
            end()
            this.#failed(error, program)
            // Somebody else has moved the job on.
            if (error instanceof MillraceError && error.code === 'ACTIVATION_REFUSED') answer(undefined)
            else again()
          },
        )
      }
      attempt()
      if (world.faults.draw(['coordinator-again']) !== undefined) scheduler.after(machine.chance.below(200), attempt)
    })
  }

  /** Runs beside everything else, as the hourly tick does. */
  async cleanUp(): Promise<CleanedUp | undefined> {
    const { revision, world, record } = this
    const { deployment, graph, backing } = revision
    const { graceMs, keptCheckpoints: keep } = world
    if (record?.phase === 'restoring') world.faults.happened('clean-up-in-restore')
    if ((record?.pending ?? null) !== null) world.faults.happened('clean-up-in-checkpoint')
    return this.step('clean up', revision, (_control, program) => cleanUp({ deployment, graph, ports: portsOf(program, backing), keep, graceMs }))
  }

  #control(revision: Revision, program: Program): JobControl {
    const { deployment, graph, backing } = revision
    const sources = Object.fromEntries(graph.vertices.filter(hasSource).map(({ id }) => [id, id]))
    return new JobControl({
      deployment,
      graph,
      sources,
      ports: portsOf(program, backing),
      fenceSinks: (attempt, subtasks) => {
        const job = this.#describe(program, revision.parallelism)
        return fenceSinks({ job, name: this.name, parameters: PARAMETERS, clock: program.clock, attempt, subtasks })
      },
      timeoutMs: this.#timeoutMs,
      logRetentionMs: this.world.settings.logRetentionMs,
      settleMs: this.world.settings.settleMs,
    })
  }

  // --- the end -----------------------------------------------------------------------------------------------------------

  /** A checkpoint that was to begin at `askedAtMs` was not: every subtask is as the last one has it, but for what was committed meanwhile. */
  unchangedSince(checkpointId: number, askedAtMs: number): void {
    const { record, observer, world } = this
    if (record === undefined || !world.options.checked) return
    const prefix = subtaskLogName(this.revision.deployment, '', '').slice(0, -1)
    for (const [log, { record: head, changedAtMs }] of observer.logs) {
      if (!log.startsWith(prefix) || head?.attempt !== record.attempt || head.life === 'retired') continue
      const unchanged = head.life === 'ended' ? head.epoch < checkpointId : head.epoch >= checkpointId
      world.checks.hold(
        '6',
        changedAtMs >= askedAtMs || (unchanged && head.life === 'ended'),
        () => `${log}: no checkpoint behind ${checkpointId}, and something was committed at ${changedAtMs}, epoch ${head.epoch}, ${head.life}`,
      )
    }
  }

  /** Nothing waits anywhere (invariant 8). */
  checkRest(): void {
    const { record, observer, world } = this
    const { checks } = world
    checks.hold('8', record?.phase === 'running' && record.pending === null, () => `${this.name}: the job record is ${JSON.stringify(record)}`)
    if (record === undefined) return
    const { graph, deployment } = this.revision
    const head = (stage: string, subtask: string) => observer.logs.get(subtaskLogName(deployment, stage, subtask))
    for (const { index, from, to } of graph.edges) {
      const senders = record.sources[from] === undefined ? indexes(graph, from) : Object.keys(record.sources[from])
      for (const sender of senders) {
        for (const receiver of indexes(graph, to)) {
          const sent = head(from, sender)?.nextSeq.get(`${record.attempt}|${index}:${sender}:${receiver}`)
          if (sent === undefined) continue
          const taken = head(to, receiver)?.record?.channels[`${index}:${sender}`]?.next
          checks.hold(
            '8',
            taken === sent,
            () => `${this.name}: ${to}/${receiver} has taken channel ${index}:${sender} up to ${taken}, sent is up to ${sent}`,
          )
        }
      }
    }
  }

  /** As of a commit: event time of no input is behind all the channels into it that are not idle. */
  checkWatermarks(log: string): void {
    const record = this.observer.logs.get(log)?.record
    if (record === undefined || record.sweep !== null || record.kind === 'RESET' || record.life === 'retired') return
    const channels = Object.entries(record.channels)
    if (channels.length === 0) return
    const revision = this.revisions.find(({ deployment }) => log.startsWith(subtaskLogName(deployment, '', '').slice(0, -1)))
    const least = new Map<number, number>()
    for (const [name, { watermark, idle, successors }] of channels) {
      const input = revision?.graph.edges.find((edge) => edge.index === Number.parseInt(name, 10))?.input
      if (input === undefined || (successors !== null && successors.length === 0) || idle) continue
      least.set(input, Math.min(least.get(input) ?? Number.POSITIVE_INFINITY, watermark))
    }
    for (const [input, watermark] of least) {
      const combined = record.inputs[input]?.watermark ?? Number.POSITIVE_INFINITY
      this.world.checks.hold('9', combined >= watermark, () => `${log}: input ${input} is at ${combined}, its channels are at ${watermark}`)
    }
  }

  /** Every subtask of the revision that runs, opened from its log alone. */
  async coldStates(): Promise<ReadonlyMap<string, ColdState>> {
    const { revision, observer } = this
    const { deployment, graph, parallelism } = revision
    const states = new Map<string, ColdState>()
    for (const { id } of graph.vertices) {
      const prefix = subtaskLogName(deployment, id, '')
      for (const log of [...observer.logs.keys()].filter((name) => name.startsWith(prefix))) {
        const cold = await coldState(this, () => this.#describe(this.#synth, parallelism), log, PARAMETERS)
        if (cold !== undefined) states.set(log, cold)
      }
    }
    return states
  }

  /** Base and log replayed are what instances had in memory when they wrote the next base (invariant 10). */
  compareWithMemory(cold: ReadonlyMap<string, ColdState>): void {
    for (const [log, { version, states }] of cold) {
      const { record, version: newest } = this.observer.logs.get(log) ?? {}
      if (record === undefined || newest !== version + 1 || record.base.version !== newest || record.kind === 'RESET') continue
      const { keyed } = this.#baseOf(record)
      for (const uid of new Set([...states.keys(), ...keyed.keys()])) {
        const warm = rowsOf((keyed.get(uid) ?? []).map((ref) => this.#segment(ref, this.#ownKeyGroups(log))))
        this.world.checks.hold(
          '10',
          warm === (states.get(uid) ?? ''),
          () => `${log}: state of ${uid} in memory is\n${warm}\nand from the log\n${states.get(uid)}`,
        )
      }
    }
  }

  #baseOf({ base: { state } }: CommitRecord): BaseState {
    if (state === null) return EMPTY_BASE
    return decodeBase(state instanceof Uint8Array ? state : (partOf(this.world.blobs.look(state.name) as Uint8Array, state) as Uint8Array))
  }

  /** Segments from before a rescaling hold the key groups of other subtasks too, which nobody reads from here. */
  #ownKeyGroups(log: string): KeyGroupRange {
    const [stage, subtask] = log.split('/').slice(-2) as [string, string]
    const { maxParallelism, parallelism } = vertexOf(this.revision.graph, stage)
    return keyGroupRange(Number(subtask), maxParallelism, parallelism)
  }

  #segment({ name, inline, keyGroups }: SegmentRef, own: KeyGroupRange): DecodedSegment {
    return restricted(restricted(decodeSegment(inline ?? (this.checkpoints.look(name) as Uint8Array), name), keyGroups), own)
  }

  /** What stands of everything that the sinks have taken, in the order in which they took it. */
  standing(upTo?: number): Applied[] {
    const { observer, outside, origin } = this
    const limits = new Map<number, number>()
    const start = upTo === undefined ? observer.record?.attempt : observer.attemptOf.get(upTo)
    for (let attempt = start, limit = upTo; attempt !== undefined; ) {
      limits.set(attempt, limit ?? Number.POSITIVE_INFINITY)
      const from = observer.beganWith.get(attempt) ?? null
      limit = from?.checkpointId
      attempt = from === null || from.root !== undefined ? undefined : observer.attemptOf.get(from.checkpointId)
    }
    const own = outside.applied.filter(({ fact, marker }) => {
      // What was held back until a checkpoint carries its id.
      if (marker.attempt === 0) return marker.version <= (limits.get(observer.attemptOf.get(marker.version) ?? 0) ?? 0)
      return fact.epochBefore < (limits.get(marker.attempt) ?? 0)
    })
    const first = observer.beganWith.get(Math.min(...limits.keys()))
    return origin !== undefined && first?.root !== undefined ? [...origin.job.standing(origin.checkpointId), ...own] : own
  }
}

function indexes(graph: JobGraph, stage: string): string[] {
  return Array.from({ length: vertexOf(graph, stage).parallelism }, (_, index) => String(index))
}
