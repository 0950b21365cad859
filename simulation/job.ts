import { CommandLineParameters } from '../runtime/api/job-parameters.js'
import { MemorySourceStreams } from '../runtime/backends/memory/index.js'
import { decodeJobRecord, type JobRecord, type ManifestRef } from '../runtime/checkpoint/job-record.js'
import { MillraceError, type SinkMarker } from '../runtime/core/index.js'
import type { CompiledJob, JobGraph } from '../runtime/plan/index.js'
import type { Channel, ControlItem, PokeTarget } from '../runtime/ports/index.js'
import { type CleanedUp, cleanUp } from '../runtime/task/clean-up.js'
import { JobControl } from '../runtime/task/job-control.js'
import { fenceSinks } from '../runtime/task/sink-fence.js'
import { type Deployment, hasSource, jobLogName, subtaskLogName } from '../runtime/task/stage-names.js'
import type { DeadLetter } from '../runtime/task/stage-ports.js'
import { type StageCall, StageSubtask } from '../runtime/task/stage-subtask.js'
import { CheckpointFolder } from './folder.js'
import { StageFunction } from './functions.js'
import { JobObserver, markerId } from './invariants.js'
import { checkTicked, unsentLogs } from './job-checks.js'
import { Mapping } from './mapping.js'
import { Program } from './program.js'
import { SourceReaders } from './source-readers.js'
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

/** What failing ports and lost races lead to. */
const EXPLAINED: readonly string[] = ['AWS_CALL', 'BATCH_REFUSED', 'ACTIVATION_REFUSED']
/** The simulated jobs have none. */
export const PARAMETERS = CommandLineParameters.from([])
const STEP_TIMEOUT_MS = 15 * 60_000
/** A message of the queue waits no longer. */
const LONGEST_DELAY_MS = 15 * 60_000

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
  /** What describes the job to whoever deploys it, or looks at it from outside. */
  readonly synth: Program
  /** When somebody last wanted the subtask poked, by its log. */
  readonly #pokedAtMs = new Map<string, number>()
  #steps = 0
  /** What its coordinator has under way. */
  readonly #stepping = new Set<Program>()
  #givenUp = false

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
    this.synth = new Program(world.machine, `${name}#synth`)
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
    const graph = this.describe(this.synth, parallelism).graph
    const channels = new Map<string, Channel>()
    const functions = new Map<string, StageFunction>()
    const mappings: Mapping[] = []
    const backing: Backing = {
      log: world.log,
      parts: world.blobs,
      checkpoints: this.checkpoints,
      pokes: { poke: async (target, atMs) => this.#poked(revision, target, atMs) },
      asked: ({ stage, subtask }) => void this.#pokedAtMs.set(subtaskLogName(deployment, stage, subtask), world.now),
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

  describe(program: Program, parallelism: number): CompiledJob {
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
          describe: () => this.describe(program, parallelism),
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

  /** Pokes a subtask, and again if it fails, until the queue gives the message up. */
  poke(revision: Revision, { stage, subtask }: PokeTarget, tries = 1): void {
    if (!revision.functions.has(stage)) return
    this.invoke(revision, stage, subtask, { kind: 'poke', again: tries > 1 }).catch(() => {
      if (tries === this.world.mostPokeTries) return
      this.world.underWay++
      this.world.scheduler.after(this.world.machine.chance.between(500, 10_000), () => {
        this.world.underWay--
        this.poke(revision, { stage, subtask }, tries + 1)
      })
    })
  }

  /** A tick of the revision that runs, until it has answered. */
  tick(): void {
    const { revision, record, world } = this
    const { now } = world
    const unsent = world.options.checked && record?.phase === 'running' ? unsentLogs(this) : new Map<string, number>()
    void this.step('tick', revision, (control) => control.tick('all')).then(() => {
      if (this.record?.attempt === record?.attempt && this.record?.phase === 'running') checkTicked(this, unsent, now, this.#pokedAtMs)
    })
  }

  get idle(): boolean {
    return this.#mappings.every((mapping) => mapping.idle)
  }

  /** Nothing goes wrong any more with what reads streams. */
  endFaults(): void {
    for (const mapping of this.#mappings) mapping.endFaults()
  }

  get #mappings(): readonly Mapping[] {
    return [...(this.readers?.mappings ?? []), ...this.revisions.flatMap(({ mappings }) => mappings)]
  }

  wakeReaders(): void {
    for (const mapping of this.readers?.mappings ?? []) mapping.wake()
  }

  /** The sources are read anew, from what the checkpoint has not read. */
  readFrom(revision: Revision, attempt: number, from: ManifestRef | null): void {
    this.readers?.disable()
    this.readers = new SourceReaders(this, revision, attempt, from)
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
        if (lives !== undefined || this.#givenUp) answer(undefined)
        else scheduler.after(machine.chance.between(500, 5_000), attempt)
      }
      const attempt = (): void => {
        if (this.#givenUp) answer(undefined)
        if (answered) return
        const program = new Program(machine, `${this.name}#${what}.${++this.#steps}`)
        program.stallLeftMs = machine.longestStallMs
        program.callsLeft = lives ?? Number.POSITIVE_INFINITY
        world.underWay++
        this.#stepping.add(program)
        let over = false
        const end = (): void => {
          if (over) return
          over = true
          this.#stepping.delete(program)
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

  /** A job that could not begin is taken away, as a stack that could not be deployed is: what is still on its way of its steps ends. */
  giveUp(): void {
    const { jobs } = this.world
    jobs.splice(jobs.indexOf(this), 1)
    this.#givenUp = true
    for (const program of [...this.#stepping]) program.die()
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
        const job = this.describe(program, revision.parallelism)
        return fenceSinks({ job, name: this.name, parameters: PARAMETERS, clock: program.clock, attempt, subtasks })
      },
      timeoutMs: this.#timeoutMs,
      logRetentionMs: this.world.settings.logRetentionMs,
      settleMs: this.world.settings.settleMs,
    })
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
    if (origin === undefined || first?.root === undefined) return own
    const before = origin.job.standing(origin.checkpointId)
    const sent = new Set(before.map(({ marker }) => markerId(marker)))
    // What the origin's checkpoint held back both jobs send, each into its own outside: the origin may have gone back before it came to that.
    const held = outside.applied.filter(({ marker }) => !marker.writer.startsWith(`${this.name}/`) && !sent.has(markerId(marker)))
    return [...before, ...held, ...own]
  }
}
