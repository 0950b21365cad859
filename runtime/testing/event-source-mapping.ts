import type { StreamRecord } from '../task/record-stream-source.js'
import { Alarms } from './alarms.js'
import { MappedPosition, type MappingStart } from './mapped-position.js'
import type { MappedShard, MappedStream } from './mapped-stream.js'
import {
  checkMappingFaults,
  checkMappingOptions,
  DEFAULT_MAPPING_OPTIONS,
  type MappingFaults,
  type MappingOptions,
  type MappingWorld,
  NO_MAPPING_FAULTS,
} from './mapping-options.js'
import { type MappingCounts, type MappingStats, noMappingCounts } from './mapping-stats.js'

export type { MappingStart } from './mapped-position.js'
export * from './mapped-stream.js'
export type { MappingFaults, MappingOptions, MappingWorld } from './mapping-options.js'
export type { MappingStats } from './mapping-stats.js'

/** Records of one shard, in its order. */
export interface MappedBatch {
  readonly splitId: string
  readonly records: readonly StreamRecord[]
}

/** Resolves: acknowledged, or with the position of the first record that failed (partial batch response); rejects: failed whole. */
export type MappedFunction = (batch: MappedBatch) => Promise<{ readonly failedFrom: bigint | undefined }>

interface PlannedBatch {
  readonly records: readonly StreamRecord[]
  /** It was acknowledged before. */
  readonly again: boolean
}

interface ShardState {
  shard: MappedShard
  readonly position: MappedPosition
  /** What is delivered before anything is read: the batch being tried, and what else of a batch that was cut. */
  plan: readonly PlannedBatch[]
  /** A batch is being delivered or waits for its retry. */
  busy: boolean
  /** Read to the end and acknowledged, or expired. */
  done: boolean
  failures: number
  /** While records are gathered: the end of the batching window, epoch ms, and what stops its alarm. */
  window: { readonly untilMs: number; readonly stop: () => void } | undefined
}

/** An answer as the mapping sees it: how many records from the first are acknowledged. */
type Acknowledged = number

/** The pause before a retry doubles this often. */
const DOUBLINGS = 5

/** An early time-out without a `timeoutMs` comes within this. */
const LATEST_GIVE_UP_MS = 60_000

/**
 * Reads a stream for a function as Lambda's event source mapping for Kinesis does:
 *
 * - M1 A batch has records of one shard, in its order. A shard has one invocation at a time (beside those that were given up), shards run side by side.
 * - M2 At least once: a shard goes on behind a record only when it is acknowledged. What fails is tried again without end, the same batch or, with
 *   `bisectOnError`, its halves, first half first.
 * - M3 A partial batch response acknowledges what lies before it, and the rest of the batch is tried again. A position that is not of the
 *   batch, or is its first, fails the batch whole.
 * - M4 A batch ends at `batchSize` records or `maxBatchBytes`; one that is less waits for the batching window, unless its shard is closed.
 * - M5 A shard is read when all its parents have been read to the end and acknowledged. Parents that have expired count as read.
 * - M6 An invocation that takes longer than `timeoutMs` has failed for the mapping, though it goes on.
 *
 * Time, chance and the order of events come from `world` alone, so that the same world gives the same deliveries. Nothing is done while there is
 * nothing new: one timer, or none with `pollMs: Infinity`, when the stream calls {@link wake} whenever a record or shard is added or a shard closed.
 *
 * @example
 * const mapping = new EventSourceMapping(mappedStream(stream), handler, world, { batchSize: 10, pollMs: Infinity }, { duplicate: 0.1 })
 * mapping.start()
 * stream.put('0', data)
 * mapping.wake()
 */
export class EventSourceMapping {
  readonly #stream: MappedStream
  readonly #world: MappingWorld
  readonly #options: MappingOptions
  readonly #alarms: Alarms
  readonly #shards = new Map<string, ShardState>()
  readonly #counts = noMappingCounts()
  #fn: MappedFunction
  #faults: MappingFaults = NO_MAPPING_FAULTS
  #started = false
  #enabled = false
  #woken = false
  #underWay = 0
  #stopPolling: () => void = () => {}

  /** @throws MillraceError OPTION_INVALID */
  constructor(
    stream: MappedStream,
    fn: MappedFunction,
    world: MappingWorld,
    options: Partial<MappingOptions> = {},
    faults: Partial<MappingFaults> = {},
  ) {
    this.#stream = stream
    this.#fn = fn
    this.#world = world
    this.#options = { ...DEFAULT_MAPPING_OPTIONS, ...options }
    this.#alarms = new Alarms(world)
    checkMappingOptions(this.#options)
    this.setFaults(faults)
  }

  /** Settles where the shards begin and starts to read. Once. */
  start(): void {
    if (this.#started) return
    this.#started = true
    this.#refresh(this.#options.start)
    this.enable()
  }

  /** No new invocations, retries neither; those under way go on, and what they acknowledge counts. */
  disable(): void {
    this.#enabled = false
    this.#stopPolling()
  }

  /** Goes on from the positions, with new batches. Nothing before {@link start}. */
  enable(): void {
    if (!this.#started || this.#enabled) return
    this.#enabled = true
    this.#poll()
    this.wake()
  }

  /** From now on batches go to this function, retries too; positions stay. */
  repoint(fn: MappedFunction): void {
    this.#fn = fn
  }

  /** Other probabilities from the next delivery on; those left out are 0. @throws MillraceError OPTION_INVALID */
  setFaults(faults: Partial<MappingFaults>): void {
    const all = { ...NO_MAPPING_FAULTS, ...faults }
    checkMappingFaults(all)
    this.#faults = all
  }

  /** There may be something new in the stream. The function is not called within, and calls before it is looked at count as one. */
  wake(): void {
    if (this.#woken || !this.#enabled) return
    this.#woken = true
    void Promise.resolve().then(() => {
      this.#woken = false
      this.#look()
    })
  }

  /** Of the last record of the shard that is acknowledged, or of the last one before its beginning; undefined: none. */
  position(splitId: string): bigint | undefined {
    return this.#shards.get(splitId)?.position.after
  }

  /** Since when the oldest record that is not acknowledged has been in the stream, as of the last look at it; 0 when there is none. */
  get iteratorAgeMs(): number {
    let oldest = this.#world.now()
    for (const state of this.#shards.values()) {
      const next = state.done ? undefined : state.position.read(state.shard, 1)[0]
      if (next !== undefined && next.arrivalMs < oldest) oldest = next.arrivalMs
    }
    return this.#world.now() - oldest
  }

  /** Nothing to deliver (also not while disabled) and nothing under way, zombies included. */
  get idle(): boolean {
    if (this.#underWay > 0) return false
    return this.#stream.shards().every((shard) => {
      const state = this.#shards.get(shard.splitId)
      if (state === undefined) return shard.read(undefined, 1).length === 0
      return state.done || (!state.busy && state.position.read(shard, 1).length === 0)
    })
  }

  get stats(): MappingStats {
    return { ...this.#counts }
  }

  #poll(): void {
    this.#stopPolling = this.#alarms.set(this.#options.pollMs, () => {
      this.#look()
      if (this.#enabled) this.#poll()
    })
  }

  #refresh(start: MappingStart): void {
    const shards = this.#stream.shards()
    for (const shard of shards) {
      const known = this.#shards.get(shard.splitId)
      if (known !== undefined) known.shard = shard
      else this.#add(shard, start)
    }
    if (shards.length < this.#shards.size) this.#expire(new Set(shards.map(({ splitId }) => splitId)))
  }

  #add(shard: MappedShard, start: MappingStart): void {
    const position = new MappedPosition(shard, start)
    this.#shards.set(shard.splitId, { shard, position, plan: [], busy: false, done: false, failures: 0, window: undefined })
    this.#counts.shardsFound++
  }

  #expire(listed: ReadonlySet<string>): void {
    for (const [splitId, state] of this.#shards) {
      if (state.done || listed.has(splitId)) continue
      state.done = true
      this.#counts.shardsExpired++
    }
  }

  /** Begins to deliver what is there, for every shard that is not being delivered. */
  #look(): void {
    if (!this.#enabled) return
    this.#refresh('TRIM_HORIZON')
    let ended = true
    // The end of a shard may be the beginning of one that was passed already.
    while (ended) {
      ended = false
      for (const state of this.#shards.values()) {
        if (state.busy || state.done || !this.#mayBegin(state)) continue
        const batch = this.#next(state)
        if (batch !== undefined) void this.#drive(state, batch)
        if (state.done) ended = true
        if (!this.#enabled) return
      }
    }
  }

  #mayBegin({ shard }: ShardState): boolean {
    return shard.parents.every((parent) => this.#shards.get(parent)?.done ?? true)
  }

  async #drive(state: ShardState, first: PlannedBatch): Promise<void> {
    state.busy = true
    let batch: PlannedBatch | undefined = first
    while (batch !== undefined) {
      await this.#deliver(state, batch)
      batch = this.#enabled ? this.#next(state) : undefined
    }
    state.busy = false
    if (!this.#enabled) state.plan = []
    // For what has come, and what may begin, meanwhile.
    this.#look()
  }

  /** The batch to deliver now, which is the first of the plan; undefined: none yet, or the shard has ended. */
  #next(state: ShardState): PlannedBatch | undefined {
    if (state.done) return undefined
    if (state.plan.length > 0) return state.plan[0]
    const { batchSize, batchingWindowMs } = this.#options
    const records = state.position.read(state.shard, batchSize)
    if (records.length === 0) {
      if (state.shard.closed) this.#end(state)
      return undefined
    }
    const size = this.#fitting(records)
    const full = size === batchSize || size < records.length || state.shard.closed
    if (!full && batchingWindowMs > 0 && this.#gathers(state)) return undefined
    state.window?.stop()
    state.window = undefined
    state.plan = [{ records: size === records.length ? records : records.slice(0, size), again: false }]
    return state.plan[0]
  }

  /** Whether the batching window, which begins now if it has not, is still open. */
  #gathers(state: ShardState): boolean {
    if (state.window === undefined) {
      const { batchingWindowMs } = this.#options
      const stop = this.#alarms.set(batchingWindowMs, () => this.#look())
      state.window = { untilMs: this.#world.now() + batchingWindowMs, stop }
      this.#counts.windowsWaited++
    }
    return this.#world.now() < state.window.untilMs
  }

  #end(state: ShardState): void {
    state.done = true
    this.#counts.shardsEnded++
  }

  /** How many of the records make a batch: those within the limit of bytes, but at least one. */
  #fitting(records: readonly StreamRecord[]): number {
    let left = this.#options.maxBatchBytes
    let size = 0
    while (size < records.length) {
      left -= base64Length(records[size].data.length)
      if (left < 0 && size > 0) break
      size++
    }
    return size
  }

  async #deliver(state: ShardState, batch: PlannedBatch): Promise<void> {
    const { records } = batch
    const answered = await this.#invoke({ splitId: state.shard.splitId, records })
    const lost = answered > 0 && this.#happens('loseAnswer', 'lostAnswers')
    const acknowledged = lost ? 0 : answered
    state.position.advance(acknowledged === records.length ? records : records.slice(0, acknowledged), this.#reachBack)
    if (acknowledged > 0) state.failures = 0
    const failed = acknowledged < records.length
    if (failed) this.#planRetry(state, batch, acknowledged)
    else this.#planOn(state, batch)
    this.#mayGoBack(state)
    if (failed) await this.#pause(state)
  }

  #planOn(state: ShardState, batch: PlannedBatch): void {
    this.#counts.acknowledged++
    const others = state.plan.slice(1)
    state.plan = !batch.again && this.#happens('duplicate', 'duplicated') ? [{ ...batch, again: true }, ...others] : others
  }

  #planRetry(state: ShardState, { records, again }: PlannedBatch, acknowledged: Acknowledged): void {
    const others = state.plan.slice(1)
    this.#counts.failed++
    if (acknowledged > 0) this.#counts.partial++
    if (acknowledged === 0 && this.#options.bisectOnError && records.length > 1) {
      this.#counts.bisected++
      const half = Math.ceil(records.length / 2)
      state.plan = [{ records: records.slice(0, half), again }, { records: records.slice(half), again }, ...others]
    } else if (acknowledged > 0) state.plan = [{ records: records.slice(acknowledged), again }, ...others]
  }

  #mayGoBack(state: ShardState): void {
    const most = Math.min(state.position.reach, this.#reachBack)
    if (most === 0 || !this.#happens('reDeliverOld', 'wentBack')) return
    state.position.goBack(1 + this.#below(most))
    state.plan = []
  }

  get #reachBack(): number {
    return 2 * this.#options.batchSize
  }

  async #pause(state: ShardState): Promise<void> {
    const delayMs = this.#options.retryDelayMs * 2 ** Math.min(state.failures++, DOUBLINGS)
    await this.#world.sleep(Math.ceil(delayMs * (1 - this.#world.random() / 2)))
    const { splitRetry } = this.#faults
    if (!this.#enabled || state.done || splitRetry === 0 || this.#world.random() >= splitRetry) return
    this.#planOtherwise(state)
  }

  /** Instead of what is planned, another number of the records that are next. */
  #planOtherwise(state: ShardState): void {
    const records = state.position.read(state.shard, this.#options.batchSize)
    if (records.length === 0) return
    const wanted = records.slice(0, 1 + this.#below(records.length))
    const other = wanted.slice(0, this.#fitting(wanted))
    if (other.length === state.plan[0]?.records.length && other[0] === state.plan[0].records[0]) return
    this.#counts.splitRetries++
    state.plan = [{ records: other, again: false }]
  }

  /** Resolves when the function has answered or is given up. */
  #invoke(batch: MappedBatch): Promise<Acknowledged> {
    this.#counts.deliveries++
    this.#underWay++
    const giveUpMs = this.#giveUpMs()
    return new Promise((resolve) => {
      const stop = this.#alarms.set(giveUpMs ?? this.#options.timeoutMs, () => {
        this.#counts.timedOut++
        if (giveUpMs !== undefined) this.#counts.gaveUpEarly++
        resolve(0)
      })
      void this.#call(batch).then((acknowledged) => {
        this.#underWay--
        stop()
        resolve(acknowledged)
      })
    })
  }

  async #call(batch: MappedBatch): Promise<Acknowledged> {
    try {
      const { failedFrom } = await this.#fn(batch)
      if (failedFrom === undefined || !this.#options.partialResponses) return batch.records.length
      return Math.max(
        0,
        batch.records.findIndex(({ position }) => position === failedFrom),
      )
    } catch {
      return 0
    }
  }

  /** After how long this invocation is given up by the fault: of any order of magnitude, as nobody knows here how long one takes. */
  #giveUpMs(): number | undefined {
    const { timeout } = this.#faults
    if (timeout === 0 || this.#world.random() >= timeout) return undefined
    return Math.floor((1 + Math.min(this.#options.timeoutMs, LATEST_GIVE_UP_MS)) ** this.#world.random()) - 1
  }

  #happens(fault: keyof MappingFaults, count: keyof MappingCounts): boolean {
    const probability = this.#faults[fault]
    if (probability === 0 || this.#world.random() >= probability) return false
    this.#counts[count]++
    return true
  }

  /** A whole number from 0 to `end` - 1. */
  #below(end: number): number {
    return Math.floor(this.#world.random() * end)
  }
}

function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4
}
