import { MemoryChannel, type MemoryStream, MemoryStreams } from '../runtime/backends/memory/index.js'
import { ZlibCompression } from '../runtime/backends/node/index.js'
import type { Compression, ControlItem, LogItem, Outcome } from '../runtime/ports/index.js'
import type { StageSettings } from '../runtime/task/stage-settings.js'
import { Chance } from './chance.js'
import { type FaultKind, Faults } from './faults.js'
import { Checks } from './invariants.js'
import type { Job } from './job.js'
import { checkWatermarks } from './job-checks.js'
import type { SimulatedJob } from './jobs/simulated-job.js'
import { DEFAULT_LONGEST_PAUSE_MS, DEFAULT_LONGEST_STALL_MS, type Profile } from './profiles.js'
import type { Machine } from './program.js'
import { Scheduler } from './scheduler.js'
import { firstShards, SourceStream } from './source-streams.js'
import { type LogWatcher, WatchedBlobs, WatchedLog } from './stores.js'
import { START_MS, Trace } from './trace.js'

export interface WorldOptions {
  readonly seed: number
  readonly profile: Profile
  /** Kinds of faults that never happen. */
  readonly without?: ReadonlySet<FaultKind>
  readonly keepTrace?: boolean
  /** Whether invariants are looked at; a second run only repeats the first. */
  readonly checked: boolean
}

/** What an invocation may take beside its stalls. */
const CALLS_MS = 5 * 60_000
const TRIES_UNTIL_REPAIR = 4
const CLOCKS_DIFFER_MS = 10 * 60_000

/** Everything of one seed: time, chance, faults, stores and streams. What runs in it are {@link Job}s. */
export class World implements LogWatcher {
  readonly scheduler = new Scheduler(START_MS)
  readonly trace: Trace
  readonly chance: Chance
  readonly faults: Faults
  readonly checks = new Checks()
  readonly machine: Machine
  readonly log: WatchedLog
  readonly blobs: WatchedBlobs
  readonly streams = new MemoryStreams()
  readonly sources = new Map<string, SourceStream>()
  readonly jobs: Job[] = []
  readonly settings: StageSettings
  readonly compression: Compression | undefined
  /** How long a blob that nothing refers to waits until it is deleted: nobody who knows its name lives longer. */
  readonly graceMs: number
  /** How many completed checkpoints stay: with few, clean-up drops some before the job is restored. */
  readonly keptCheckpoints: number
  /** How often the queue hands out a message that fails. */
  readonly mostPokeTries: number
  /** What the engine counted. */
  readonly events = new Map<string, number>()
  /** How often a function has thrown for an item. */
  readonly #tries = new Map<number, number>()
  /** Programs that run and messages that are under way. */
  underWay = 0
  commits = 0

  constructor(
    readonly options: WorldOptions,
    readonly simulated: SimulatedJob,
  ) {
    const { seed, profile, without = new Set<FaultKind>() } = options
    this.trace = new Trace(options.keepTrace === true)
    this.chance = new Chance(seed, 'world')
    this.faults = new Faults(profile.rates, without, new Chance(seed, 'faults'))
    this.settings = this.#drawSettings()
    this.graceMs = (profile.longestStallMs ?? DEFAULT_LONGEST_STALL_MS) + this.settings.cacheMaxAgeMs + CALLS_MS + CLOCKS_DIFFER_MS
    this.keptCheckpoints = this.chance.pick([1, 1, 3])
    this.mostPokeTries = new Chance(seed, 'queue').pick([1, 3, 3])
    this.compression = this.chance.happens(0.1) ? new ZlibCompression() : undefined
    this.machine = {
      scheduler: this.scheduler,
      trace: this.trace,
      faults: this.faults,
      chance: new Chance(seed, 'calls'),
      longestStallMs: profile.longestStallMs ?? DEFAULT_LONGEST_STALL_MS,
      longestPauseMs: profile.longestPauseMs ?? DEFAULT_LONGEST_PAUSE_MS,
      throttledUntilMs: 0,
      expiredUntilMs: 0,
      nonces: 0,
    }
    this.log = new WatchedLog(this.machine, this)
    this.blobs = new WatchedBlobs(this.checks)
    for (const { name, splits } of simulated.streams) {
      const first = firstShards(splits)
      const stream = this.streams.create(
        name,
        first.map(({ id }) => id),
      )
      this.sources.set(name, new SourceStream(name, stream, first))
    }
  }

  #drawSettings(): StageSettings {
    const { chance } = this
    return {
      longestTail: chance.pick([3, 8, 30]),
      tailBytes: chance.pick([200, 1_000_000]),
      mostSegments: chance.pick([1, 2, 3, 8]),
      ...this.#drawMemory(),
      // With chance of its own, as the memory.
      compactionBytes: new Chance(this.options.seed, 'compaction').pick([64_000_000, 64_000_000, 3_000, 700]),
      mergedAtCutBytes: chance.pick([0, 0, 300, 1_000_000]),
      commitRecords: chance.pick([3, 1000, 1000, 1000]),
      commitBytes: chance.pick([300, 1_000_000, 1_000_000, 1_000_000]),
      commitMs: chance.pick([20, 20_000]),
      frameBytes: chance.pick([60, 150, 256 * 1024]),
      sweepTimers: chance.pick([1, 3, 10_000]),
      // Scaled down with the longest that a zombie may live, so that a seed need not last for days.
      logRetentionMs: Math.max(3 * 3_600_000, 1.25 * (this.options.profile.longestStallMs ?? DEFAULT_LONGEST_STALL_MS) + 3_600_000),
      cacheMaxAgeMs: this.options.profile.cacheMaxAgeMs ?? 30 * 60_000,
      stashLimitBytes: chance.pick([1_500, 1_000_000]),
      watermarkIntervalMs: chance.pick([0, 0, 500]),
      settleMs: chance.pick([1_000, 600_000]),
      // Where blobs matter, there are to be many.
      inlineBytes: chance.pick(this.options.profile.patient === true ? [20, 60, 150] : [150, 600, 8192]),
      failingRecords: this.options.profile.poison === true && this.simulated.poison?.policy !== 'repair' ? 'dead-letter' : 'fail',
    }
  }

  /** Of half of the seeds' keyed state only a part is in memory. It has chance of its own, so that the rest of a seed stays as it is. */
  #drawMemory(): Pick<StageSettings, 'wholeStateBytes' | 'stateMemoryBytes' | 'blockBytes' | 'blockCacheBytes' | 'smallSegmentBytes'> {
    const chance = new Chance(this.options.seed, 'memory')
    return {
      wholeStateBytes: chance.pick([1_000_000, 0, 0, 300]),
      stateMemoryBytes: chance.pick([1_000_000, 3_000, 600, 0]),
      blockBytes: chance.pick([16_384, 400, 100, 50]),
      blockCacheBytes: chance.pick([0, 500, 1_000_000]),
      smallSegmentBytes: chance.pick([0, 0, 1_000_000]),
    }
  }

  get now(): number {
    return this.scheduler.now
  }

  /** Whether the job's function throws for the item, this time. */
  throwsFor(id: number): boolean {
    const { poison } = this.simulated
    if (poison?.ids.has(id) !== true) return false
    if (poison.policy === 'bury') {
      this.faults.happened('function-throws')
      return true
    }
    const tries = this.#tries.get(id) ?? 0
    if (this.faults.over || tries >= TRIES_UNTIL_REPAIR) return false
    this.faults.happened('function-repaired-late')
    this.#tries.set(id, tries + 1)
    return true
  }

  count(event: string, times = 1): void {
    this.events.set(event, (this.events.get(event) ?? 0) + times)
  }

  source(name: string): SourceStream {
    return this.sources.get(name) as SourceStream
  }

  /** A stage's own stream, which tells who reads it of what arrives. */
  stageStream(
    name: string,
    subtasks: number,
    arrived: (bytes: Uint8Array) => void,
  ): { readonly stream: MemoryStream; readonly channel: MemoryChannel } {
    const stream = this.streams.createForStage(name, subtasks)
    const channel = new MemoryChannel(stream, { now: () => this.now })
    const send = channel.send.bind(channel)
    channel.send = async (entries) => {
      for (const { bytes } of entries) arrived(bytes)
      return send(entries)
    }
    return { stream, channel }
  }

  // --- what the log tells ------------------------------------------------------------------------------------------------

  appended(log: string, item: LogItem, outcome: Outcome): void {
    if (outcome === 'won' && !log.includes('/#')) this.commits++
    if (!this.options.checked) return
    const job = this.#jobOf(log)
    job?.observer.appended(log, item, outcome === 'won')
    if (outcome === 'won' && job !== undefined) checkWatermarks(job, log)
  }

  controlled(log: string, control: ControlItem, outcome: Outcome): void {
    if (outcome === 'won') this.#jobOf(log)?.controlled(log, control)
  }

  #jobOf(log: string): Job | undefined {
    return this.jobs.find(({ name }) => log.startsWith(`${name}/`))
  }
}
