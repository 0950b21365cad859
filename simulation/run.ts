import type { DeadLetter } from '../runtime/task/stage-ports.js'
import { Chance } from './chance.js'
import type { FaultKind } from './faults.js'
import type { Violation } from './invariants.js'
import { Job } from './job.js'
import { checkArrived, checkRest } from './job-checks.js'
import type { OutputFact } from './jobs/index.js'
import { generateJob, JOB_KINDS, type JobKind, judge } from './jobs/index.js'
import type { SimulatedJob } from './jobs/simulated-job.js'
import { Operator } from './operator.js'
import { PROFILES, type Profile, profileNamed } from './profiles.js'
import { coldStates, compareWithMemory } from './replay.js'
import { World } from './world.js'

export interface SeedOptions {
  readonly seed: number
  /** By default the seed picks. */
  readonly profile?: string
  readonly kind?: JobKind
  readonly without?: readonly FaultKind[]
  /** At most so many records, decisions of the operator. */
  readonly records?: number
  readonly decisions?: number
  /** No faults from then on, ms after the start. */
  readonly faultsForMs?: number
  readonly keepTrace?: boolean
}

export interface SeedResult {
  readonly seed: number
  readonly profile: string
  readonly job: string
  readonly violation: Violation | undefined
  readonly hash: string
  readonly commits: number
  readonly stages: number
  readonly checkpoints: number
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly events: ReadonlyMap<string, number>
  readonly checks: ReadonlyMap<string, number>
  readonly virtualMs: number
  readonly calls: number
  readonly trace: readonly string[]
}

/** Runs a seed twice; the second must do what the first did. */
export async function simulate(options: SeedOptions): Promise<SeedResult> {
  const first = await runOnce(options, true)
  if (first.violation !== undefined) return first
  const second = await runOnce({ ...options, keepTrace: false }, false)
  if (second.hash === first.hash) return { ...first, checks: new Map([...first.checks, ['repeat', 1]]) }
  return { ...first, violation: { invariant: 'repeat', what: `the traces of two runs differ: ${first.hash} and ${second.hash}` } }
}

/** Of the kinds of jobs that only some profiles make sense for. */
function kindsFor(profile: Profile): readonly JobKind[] {
  return profile.kinds === undefined ? JOB_KINDS : JOB_KINDS.filter((kind) => (profile.kinds as readonly string[]).includes(kind))
}

export async function runOnce(options: SeedOptions, checked: boolean): Promise<SeedResult> {
  const { seed } = options
  const chance = new Chance(seed, 'seed')
  const profile = (options.profile === undefined ? undefined : profileNamed(options.profile)) ?? chance.pick(PROFILES)
  const kinds = options.kind === undefined ? kindsFor(profile) : [options.kind]
  const simulated = generateJob(new Chance(seed, 'job'), { kinds, ...(profile.poison === true ? { poison: new Chance(seed, 'poison') } : {}) })
  const world = new World({ seed, profile, without: new Set(options.without), keepTrace: options.keepTrace, checked }, simulated)
  const run = new Run(world, simulated, options)
  await run.whole()
  const { checks, faults, trace, scheduler } = world
  return {
    seed,
    profile: profile.name,
    job: `${simulated.kind}: ${simulated.name}`,
    violation: checks.violation,
    hash: trace.hash,
    commits: world.commits,
    stages: run.job.revision.graph.vertices.length,
    checkpoints: world.jobs.reduce((sum, { observer }) => sum + observer.completed.size, 0),
    faults: faults.counts,
    events: world.events,
    checks: checks.counts,
    virtualMs: scheduler.now,
    calls: scheduler.count,
    trace: trace.lines,
  }
}

const MOST_ROUNDS = 60
/** Several times what any seed has needed. */
const MOST_EVENTS = 300_000

class Run {
  readonly job: Job
  #produced = false
  readonly #poisoned: string[] = []

  constructor(
    readonly world: World,
    readonly simulated: SimulatedJob,
    readonly options: SeedOptions,
  ) {
    this.job = new Job(world, 'job')
  }

  /** Everything from the first activation to the last check. A violation ends it. */
  async whole(): Promise<void> {
    const { world } = this
    const { scheduler, checks } = world
    let over = false
    const story = this.#story().then(
      () => {
        over = true
      },
      (error: unknown) => {
        world.checks.hold('engine', false, () => `the world failed: ${(error as Error)?.stack ?? String(error)}`)
      },
    )
    await scheduler.run(() => over || checks.violation !== undefined || scheduler.count >= MOST_EVENTS)
    if (checks.violation === undefined && !over) {
      const goesOn = scheduler.count >= MOST_EVENTS
      checks.hold('8', false, () => (goesOn ? `it goes on and on: ${this.#restless()}` : 'nothing is left to happen and the run is not over'))
    }
    if (checks.violation === undefined) await story
  }

  async #story(): Promise<void> {
    const { world, job } = this
    const { profile } = world.options
    const revision = job.deploy(this.simulated.parallelism)
    const operator = new Operator(job)
    void this.#produce()
    void this.#ticks()
    void this.#cleanUps()
    if (this.options.faultsForMs !== undefined) world.scheduler.after(this.options.faultsForMs, () => this.#endFaults())
    await operator.activate(revision, null, { anew: true })
    await operator.run(Math.min(profile.decisions, this.options.decisions ?? Number.POSITIVE_INFINITY))
    while (!this.#produced) await world.scheduler.sleep(5_000)
    // Timers that all fire at once, while things go wrong.
    if (!this.simulated.ends && world.chance.happens(0.3)) {
      this.#lastWords()
      await world.scheduler.sleep(world.chance.below(60_000))
    }
    // The last of the clock's timers, too: for them no batch comes behind.
    if (this.simulated.settleMs > 0 && world.chance.happens(0.5)) await world.scheduler.sleep(this.simulated.settleMs)
    this.#endFaults()
    await this.#resumeAll()
    // Behind that a tick finds whose outbox may not have arrived.
    await world.scheduler.sleep(world.settings.settleMs)
    await this.#rest('once the faults are over')
    await this.#checkpoints('once the faults are over')
    if (!this.simulated.ends) this.#lastWords()
    await this.#rest('behind the last words')
    if (this.simulated.settleMs > 0) {
      await world.scheduler.sleep(this.simulated.settleMs + 700_000)
      await this.#rest('once all timers have fired')
    }
    // Timers of the clock do not outlive the input, so it ends behind them.
    if (this.simulated.ends || world.chance.happens(0.5)) {
      this.#endSources()
      await this.#rest('behind the end of the sources')
    }
    // What sinks hold back until a checkpoint has completed.
    await this.#checkpoints('behind the end')
    await this.#rest('behind the last checkpoint')
    // It takes hours, in which much is ticked.
    if (profile.patient === true || world.chance.happens(0.1)) {
      await this.#cleaned()
      await this.#rest('behind clean-up')
    }
    for (const { stream, shards } of world.sources.values()) {
      for (const { id } of shards.values()) if (stream.records(id).length === 0) world.faults.happened('silent-split')
    }
    await this.#judge()
  }

  async #checkpoints(when: string): Promise<void> {
    const { world } = this
    for (const job of world.jobs) {
      const operator = new Operator(job)
      await operator.settle()
      // Opening every log beside the world is dear.
      const compares = world.chance.happens(0.6)
      const cold = world.options.checked && compares ? await coldStates(job) : new Map()
      // A split that begins meanwhile, even one that stays silent, must not keep the checkpoint from completing.
      const { split = 0, merge = 0 } = world.options.profile.actions
      if (split + merge > 0) {
        operator.reshard(world.chance.pick(['split', 'merge']))
        if (world.chance.happens(0.7)) job.tick()
        await this.#untilSplitEnds(world.chance.below(3_000))
      }
      let over = false
      const tick = (): void => {
        if (over) return
        job.tick()
        world.scheduler.after(10_000, tick)
      }
      world.scheduler.after(4_000, tick)
      const timedOut = world.events.get('checkpoint-timed-out')
      let id = await operator.checkpoint('checkpoint')
      if (id === undefined && world.events.get('checkpoint-timed-out') === timedOut) {
        // A step that came late has stopped the job meanwhile.
        await this.#resumeAll()
        id = await operator.checkpoint('checkpoint')
      }
      over = true
      compareWithMemory(job, cold)
      // Mostly nothing has happened since.
      if (world.chance.happens(0.5)) await operator.checkpoint('checkpoint')
      world.checks.hold('8', id !== undefined, () => `${job.name}: a checkpoint ${when} does not complete: ${JSON.stringify(job.record)}`)
    }
  }

  /** At most so long: a checkpoint that begins now meets successors that have not begun. */
  async #untilSplitEnds(mostMs: number): Promise<void> {
    const { scheduler, events } = this.world
    const ended = events.get('split-ended')
    for (const until = scheduler.now + mostMs; scheduler.now < until && events.get('split-ended') === ended; ) await scheduler.sleep(10)
  }

  #endFaults(): void {
    if (this.world.faults.over) return
    this.world.faults.over = true
    for (const job of this.world.jobs) job.endFaults()
  }

  /** A restore that gave up, or a stop, may have left a job that does not run. */
  async #resumeAll(): Promise<void> {
    for (const job of this.world.jobs) {
      await new Operator(job).settle()
      const { record } = job
      if (record === undefined || (record.phase === 'running' && job.readers?.attempt === record.attempt)) continue
      const from = record.phase === 'stopped' ? { checkpointId: record.completed, savepoint: true } : record.from
      await new Operator(job).activate(job.revision, from, { anew: true })
    }
  }

  // --- what goes on beside ------------------------------------------------------------------------------------------------

  async #produce(): Promise<void> {
    const { world, simulated } = this
    const chance = new Chance(world.options.seed, 'producers')
    const records = simulated.records.slice(0, this.options.records ?? Number.POSITIVE_INFINITY)
    // Where hours pass records come for hours: else there would be nothing new to take a checkpoint of.
    const pace = chance.pick(world.options.profile.patient === true ? [2_000, 20_000, 60_000] : [20, 200, 2_000])
    let left = 0
    for (const { stream, partitionKey, data, id } of records) {
      if (left-- <= 0) {
        await world.scheduler.sleep(chance.below(pace * 40))
        left = chance.below(20)
      }
      const came = world.source(stream).put(partitionKey, data, world.now)
      if (came && simulated.poison?.policy === 'bury' && simulated.poison.ids.has(id)) this.#poisoned.push(`item ${id}`)
      if (world.options.profile.poison === true && world.settings.failingRecords === 'dead-letter' && chance.happens(0.08))
        this.#poison(stream, partitionKey)
      for (const job of world.jobs) job.wakeReaders()
    }
    // The input may end while everything else goes on.
    if (simulated.ends && chance.happens(0.6)) this.#endSources()
    this.#produced = true
  }

  #poison(stream: string, partitionKey: string): void {
    const text = `poison ${this.#poisoned.length}`
    this.world.faults.happened('poison')
    this.#poisoned.push(text)
    this.world.source(stream).put(partitionKey, new TextEncoder().encode(text), this.world.now)
  }

  async #ticks(): Promise<void> {
    const { world } = this
    for (;;) {
      await world.scheduler.sleep(world.chance.pick([300_000, 600_000, 1_800_000]))
      for (const job of world.jobs) job.tick()
    }
  }

  async #cleanUps(): Promise<void> {
    const { world } = this
    const chance = new Chance(world.options.seed, 'clean-up')
    const pauses = [world.graceMs / 40, world.graceMs / 5, world.graceMs * 1.1]
    for (;;) {
      await world.scheduler.sleep(chance.pick(pauses) * (0.5 + chance.next()))
      for (const job of world.jobs) void job.cleanUp()
    }
  }

  /** What nothing refers to has gone, once clean-up has had the time (invariant 10). */
  async #cleaned(): Promise<void> {
    const { world } = this
    for (const job of world.jobs) {
      const unreferred = job.checkpoints.unreferred
      for (let i = 0; i < 2; i++) {
        await job.cleanUp()
        await world.scheduler.sleep(world.graceMs * 1.2)
      }
      const said = await job.cleanUp()
      if (!world.options.checked) continue
      const left = unreferred.filter((name) => job.checkpoints.look(name) !== undefined)
      world.checks.hold('10', left.length === 0, () => `${job.name}: ${left.join(', ')} is left behind clean-up, which said ${JSON.stringify(said)}`)
    }
  }

  /** What moves event time behind everything. */
  #lastWords(): void {
    const { world, simulated } = this
    for (const { name, open, stream } of world.sources.values()) {
      for (const { id } of open) stream.put(id, simulated.lastWord(name), { partitionKey: '', arrivalMs: world.now })
    }
    for (const job of world.jobs) job.wakeReaders()
  }

  #endSources(): void {
    const { world } = this
    for (const source of world.sources.values()) {
      for (const shard of source.open) {
        world.faults.happened('source-finished')
        source.close(shard)
      }
    }
    for (const job of world.jobs) job.wakeReaders()
  }

  /** Waits until nothing changes any more, ticks or not. */
  async #rest(when: string): Promise<void> {
    const { world } = this
    for (let round = 0, quiet = false; !quiet; round++) {
      if (!world.checks.hold('8', round < MOST_ROUNDS, () => `${when}: ${this.#restless()}`)) return
      const before = world.commits
      for (let wait = 0; world.underWay > 0 || !world.jobs.every(({ idle }) => idle); wait++) {
        if (!world.checks.hold('8', wait < 2_000, () => `${when}: ${this.#restless()}`)) return
        // A zombie may take hours.
        await world.scheduler.sleep(wait < 20 ? 500 : Math.min(500 * wait, 120_000))
        if (wait % 20 !== 19) continue
        // A step of the coordinator that came late may have begun a checkpoint, or a stop.
        await this.#resumeAll()
        for (const job of world.jobs) job.tick()
      }
      // What was lost before, only a tick brings back.
      if (round === 0) for (const job of world.jobs) job.tick()
      await world.scheduler.sleep(5_000)
      quiet = round > 0 && world.underWay === 0 && world.commits === before
    }
    // Ticks alone bring it there: no batch that may come for it later.
    if (world.options.checked) for (const job of world.jobs) checkArrived(job, when)
  }

  #restless(): string {
    const { world } = this
    const jobs = world.jobs.map(({ name, idle, record }) => `${name} ${idle ? 'idle' : 'busy'} ${JSON.stringify(record)}`)
    return `no rest, ${world.underWay} under way, ${world.commits} commits; ${jobs.join('; ')}`
  }

  // --- the end -----------------------------------------------------------------------------------------------------------

  async #judge(): Promise<void> {
    const { world, simulated } = this
    if (!world.options.checked) return
    for (const job of world.jobs) {
      checkRest(job)
      const outputs = new Map<string, OutputFact[]>(simulated.sinks.map((sink) => [sink, []]))
      for (const { fact, values } of job.standing()) outputs.get(fact.uid)?.push(...values.map((value) => ({ value })))
      const splits = new Map([...world.sources.values()].map(({ name, shards }) => [name, shards.size]))
      const wrong =
        this.options.records === undefined
          ? await judge(simulated, { outputs, parallelisms: [...(job.origin?.job.parallelisms ?? []), ...job.parallelisms], splits })
          : []
      wrong.push(...this.#lettersOf(job))
      world.checks.hold(job.observer.restored ? '7' : '4', wrong.length === 0, () => `${job.name}: ${wrong.join('; ')}`)
    }
  }

  /** Each poisonous record is among the dead letters, and nothing else is; where the job was forked only what came behind the checkpoint. */
  #lettersOf({ letters, origin }: Job): string[] {
    const dead = new Set([...letters.values()].map(nameOfLetter))
    const missing = origin === undefined ? this.#poisoned.filter((text) => !dead.has(text)) : []
    const surplus = [...dead].filter((text) => !this.#poisoned.includes(text))
    return [...missing.map((text) => `no dead letter for ${text}`), ...surplus.map((text) => `a dead letter for ${text}`)]
  }
}

/** Bytes are records that nobody can read, the rest items that a function threw for. */
function nameOfLetter({ record }: DeadLetter): string {
  return record instanceof Uint8Array ? new TextDecoder().decode(record) : `item ${(record as { readonly id: number }).id}`
}
