import type { JobRecord } from '../runtime/checkpoint/job-record.js'
import type { SinkMarker } from '../runtime/core/index.js'
import { decodeFrame, type Frame } from '../runtime/exchange/frame.js'
import type { Compression, LogItem } from '../runtime/ports/index.js'
import { unpack } from '../runtime/state/index.js'
import { type BaseState, decodeBase } from '../runtime/task/base-state.js'
import { type CommitRecord, decodeCommit, type Part, partOf } from '../runtime/task/commit-record.js'
import { decodeOutbox, type Outbox } from '../runtime/task/outbox.js'
import type { AckHead } from '../runtime/task/stage-acks.js'
import { namesIn } from './folder.js'

/** Of docs/protocol.md, by number; then what else must not be. */
export const INVARIANTS = {
  1: 'versions are contiguous, each won once',
  2: 'all copies of a frame are the same bytes, and in a committed outbox',
  3: 'when v + 1 is committed, the outbox of v has arrived',
  4: 'every record affects each state and each effect exactly once',
  5: 'the order in a channel is the order of commits',
  6: 'snapshots downstream hold exactly the effects of those upstream, and none is left out because nothing had changed when something had',
  7: 'a restore has every effect exactly once',
  8: 'left alone, everything comes to rest',
  9: 'watermarks do not go back',
  10: 'what is referred to stays, what is not goes, and base and log are the memory',
  11: 'an aborted checkpoint never completes',
  engine: 'nothing is thrown but what faults explain',
  repeat: 'a seed run twice does the same',
} as const

export type InvariantName = `${keyof typeof INVARIANTS}`

export interface Violation {
  readonly invariant: InvariantName
  readonly what: string
}

/** Whether the commit says more than that nothing is left to be done. */
function isChange(record: CommitRecord, before: CommitRecord | undefined, outbox: Outbox | undefined): boolean {
  const { kind, deltas, operatorChanges, position, life } = record
  const made = outbox !== undefined && outbox.frames.length + outbox.sinks.length + outbox.letters.length > 0
  return kind === 'RESET' || deltas.length > 0 || operatorChanges !== null || made || position !== before?.position || life !== before.life
}

/** How often each invariant was looked at, and the first that did not hold. */
export class Checks {
  readonly counts = new Map<InvariantName, number>()
  violation: Violation | undefined

  /** Notes the violation and throws nothing: what is being watched must not notice. The world stops behind the event. */
  hold(invariant: InvariantName, holds: boolean, what: () => string): boolean {
    this.counts.set(invariant, (this.counts.get(invariant) ?? 0) + 1)
    if (!holds) this.violation ??= { invariant, what: what() }
    return holds
  }
}

interface LogFacts {
  version: number
  attempt: number
  epoch: number
  record: CommitRecord | undefined
  /** The state that the head's base says. */
  base: BaseState | undefined
  /** Of the head's outbox, what has not arrived. */
  readonly missing: Set<string>
  /** seq of the next frame by channel. */
  nextSeq: Map<string, number>
  watermarks: Map<string, number>
  /** Channels that have ended. */
  ended: Set<string>
  /** When the first commit behind the last cut had anything in it; Infinity: none has. */
  changedAtMs: number
}

/** Something a commit had for a sink. */
export interface SinkFact {
  readonly uid: string
  readonly attempt: number
  /** Of the subtask before the commit: a checkpoint of a later epoch holds the commit's effects. */
  readonly epochBefore: number
  readonly log: string
}

/** What a job's ports have seen: checks the invariants that a single call can break, and remembers what the others need. */
export class JobObserver {
  readonly logs = new Map<string, LogFacts>()
  record: JobRecord | undefined
  /** Attempt in which a checkpoint was begun, by its id. */
  readonly attemptOf = new Map<number, number>()
  /** What an attempt began with: the checkpoint's id, 0 for nothing. */
  readonly beganWith = new Map<number, JobRecord['from']>()
  readonly completed = new Map<number, { readonly savepoint: boolean }>()
  readonly sinkFacts = new Map<string, SinkFact>()
  /** What acknowledgements and ends refer to, by their log. */
  readonly #said = new Map<string, Set<string>>()
  readonly #aborted = new Set<number>()
  /** Of the splits that go on for others, by edge and split. */
  readonly #parents = new Map<string, readonly string[]>()
  readonly #frames = new Map<string, number>()
  /** Frames in committed outboxes, by checksum and length. */
  readonly #committed = new Map<string, string>()
  /** seq of the first frame of an epoch or a later one, by channel. */
  readonly #barriers = new Map<string, { readonly epoch: number; readonly seq: number; readonly bare: boolean }[]>()
  /** Where in its frames a channel first said that it is idle. */
  readonly #idle = new Map<string, { readonly seq: number; readonly element: number }>()

  constructor(
    readonly job: string,
    readonly checks: Checks,
    readonly compression: Compression | undefined,
    /** What is stored under the name. */
    readonly blob: (name: string) => Uint8Array | undefined,
    readonly now: () => number,
    /** Something refers to blobs of the job's folder. */
    readonly refers: (who: string, value: unknown) => void,
  ) {}

  // --- logs --------------------------------------------------------------------------------------------------------------

  /** An append was made; `won` or not. */
  appended(log: string, item: LogItem, won: boolean): void {
    const rest = log.slice(this.job.length + 1).split('/')
    if (rest[1]?.startsWith('#') === true) {
      const [part, state] = unpack(item.payload) as [Part, Part | null]
      const bytes = this.#bytes(part)
      if (bytes === undefined) return
      const ack = unpack(bytes) as AckHead
      if (won) this.#acknowledged(log, [part, state, this.#baseOf(state)])
      this.#arrived(`${this.job}/${rest[0]}/${ack.stage}/${ack.subtask}`, ackId(ack))
    } else if (won && !(rest[0] as string).startsWith('#')) this.#committedVersion(log, item)
  }

  #acknowledged(log: string, value: unknown): void {
    this.refers(log, value)
    this.#said.set(log, namesIn(value, this.#said.get(log)))
  }

  /** All that refers to blobs of the job's folder but manifests. */
  get referring(): unknown {
    const { record, job } = this
    if (record === undefined) return []
    const { revision, attempt, pending } = record
    const bases = [...this.logs].filter(([log]) => log.startsWith(`${job}/${revision}/`)).map(([, facts]) => facts.base)
    const acks = pending === null ? undefined : this.#said.get(`${job}/${revision}/#acks/${attempt}/${pending.id}`)
    return [bases, acks, this.#said.get(`${job}/${revision}/#ended/${attempt}`)]
  }

  #committedVersion(log: string, item: LogItem): void {
    const { checks } = this
    let facts = this.logs.get(log)
    if (facts === undefined) {
      facts = {
        version: 0,
        attempt: 0,
        epoch: 0,
        record: undefined,
        base: undefined,
        missing: new Set(),
        nextSeq: new Map(),
        watermarks: new Map(),
        ended: new Set(),
        changedAtMs: 0,
      }
      this.logs.set(log, facts)
    }
    const { version } = item
    checks.hold('1', version === facts.version + 1, () => `${log}: version ${version} was won after ${facts.version}`)
    const record = decodeCommit(log, item)
    const packed = record.outbox === null ? undefined : this.#bytes(record.outbox)
    const outbox = packed === undefined ? undefined : decodeOutbox(packed)
    // A split that a restore had taken out of the job may begin again.
    const anew = record.kind === 'RESET' || record.life === 'retired' || facts.record === undefined || facts.record.life === 'retired'
    if (anew) {
      facts.missing.clear()
      if (record.life !== 'retired') {
        facts.nextSeq = new Map()
        facts.watermarks = new Map()
        facts.ended = new Set()
        // Whoever asked for a checkpoint before could not know of it.
        facts.changedAtMs = this.now()
      }
    } else {
      checks.hold(
        '3',
        facts.missing.size === 0,
        () => `${log}: version ${version} was won before ${[...facts.missing].join(', ')} of ${facts.version} arrived`,
      )
      checks.hold(
        '1',
        record.attempt === facts.attempt,
        () => `${log}: version ${version} is of attempt ${record.attempt}, the one before of ${facts.attempt}`,
      )
    }
    if (!anew) this.#begunChannels(log, facts, record)
    if (record.base.version === version) {
      facts.base = this.#baseOf(record.base.state)
      this.refers(`${log}, version ${version},`, facts.base)
    }
    const epochBefore = facts.epoch
    if (outbox?.ack != null && !outbox.ack.ended) facts.changedAtMs = Number.POSITIVE_INFINITY
    else if (isChange(record, facts.record, outbox)) facts.changedAtMs = Math.min(facts.changedAtMs, this.now())
    facts.version = version
    facts.attempt = record.attempt
    facts.epoch = record.epoch
    facts.record = record
    if (outbox !== undefined) this.#outbox(log, facts, record, outbox, epochBefore)
  }

  /** A channel that goes on for others begins when all of them have ended, and event time has not passed where they ended. */
  #begunChannels(log: string, { record: before }: LogFacts, record: CommitRecord): void {
    const channels = Object.entries(record.channels)
    if (before === undefined || channels.length === 0) return
    for (const [name, { watermark }] of channels) {
      if (before.channels[name] !== undefined) continue
      const edge = name.slice(0, name.indexOf(':'))
      const parents = this.#parents.get(name) ?? []
      const living = parents.filter((parent) => (record.channels[`${edge}:${parent}`]?.successors ?? null) === null)
      this.checks.hold(
        '9',
        parents.length > 0 && living.length === 0,
        () => `${log}: channel ${name} begins while ${living.join(', ')} of ${parents.join(', ')} go on`,
      )
      const ends = parents.flatMap((parent) => record.channels[`${edge}:${parent}`] ?? [])
      const active = ends.filter(({ idle }) => !idle)
      const least = Math.min(...(active.length === 0 ? ends : active).map((end) => end.watermark))
      this.checks.hold('9', watermark >= least, () => `${log}: channel ${name} begins at ${watermark}, those before it ended at ${least}`)
      // What was idle is not waited for, so event time may be ahead of it.
      const ahead = Math.min(...before.inputs.map((input) => input.watermark))
      this.checks.hold(
        '9',
        before.inputs.length > 1 || ahead <= watermark || parents.some((parent) => this.#wasIdle(log, before, `${edge}:${parent}`)),
        () => `${log}: channel ${name} begins at ${watermark}, event time is at ${ahead}`,
      )
    }
  }

  /**
   * Whether the subtask had, as of the commit, heard from the channel, or from one that it goes on for, that it is idle. The frames say so, and not the
   * commits: within one commit a channel may become idle, which lets event time pass it, and be active again.
   */
  #wasIdle(log: string, commit: CommitRecord, name: string): boolean {
    const edge = name.slice(0, name.indexOf(':'))
    const said = this.#idle.get(`${commit.attempt}|${name}:${log.slice(log.lastIndexOf('/') + 1)}`)
    const { next, at = 0 } = commit.channels[name] ?? { next: 1 }
    if (said !== undefined && (said.seq < next || (said.seq === next && said.element < at))) return true
    return (this.#parents.get(name) ?? []).some((parent) => this.#wasIdle(log, commit, `${edge}:${parent}`))
  }

  #outbox(log: string, facts: LogFacts, record: CommitRecord, outbox: Outbox, epochBefore: number): void {
    const { checks } = this
    for (const { bytes } of outbox.frames) {
      const frame = decodeFrame(bytes, log, this.compression)
      const id = frameId(bytes)
      const channel = `${frame.attempt}|${frame.edge}:${frame.from}:${frame.to}`
      const expected = facts.nextSeq.get(channel) ?? 1
      checks.hold('5', frame.seq === expected, () => `${log}: frame ${frame.seq} of ${channel} was committed where ${expected} was due`)
      facts.nextSeq.set(channel, frame.seq + 1)
      checks.hold('5', !facts.ended.has(channel), () => `${log}: frame ${frame.seq} of ${channel} was committed behind the end of the channel`)
      if (frame.end !== null) {
        facts.ended.add(channel)
        for (const { splitId, parents } of frame.end.successors) this.#parents.set(`${frame.edge}:${splitId}`, parents)
      }
      this.#watermark(facts, channel, frame)
      this.#barrier(channel, frame)
      this.#idleness(channel, frame)
      const name = `${channel}#${frame.seq}`
      const other = this.#frames.get(name)
      checks.hold('2', other === undefined, () => `${log}: frame ${name} was committed twice`)
      this.#frames.set(name, 1)
      this.#committed.set(id, log)
      facts.missing.add(id)
    }
    for (const { uid, marker } of outbox.sinks) {
      const id = markerId(marker)
      facts.missing.add(id)
      if (!this.sinkFacts.has(id)) this.sinkFacts.set(id, { uid, attempt: marker.attempt, epochBefore, log })
    }
    if (outbox.ack !== null) {
      facts.missing.add(ackId(outbox.ack))
      if (!outbox.ack.ended) this.#cut(log, record, outbox.ack.checkpointId, facts)
    }
  }

  #watermark(facts: LogFacts, channel: string, frame: Frame): void {
    let latest = facts.watermarks.get(channel) ?? Number.NEGATIVE_INFINITY
    const rises = (watermark: number): void => {
      this.checks.hold('9', watermark >= latest, () => `frame ${frame.seq} of ${channel}: watermark ${watermark} after ${latest}`)
      latest = watermark
    }
    for (const element of frame.elements) if ('kind' in element && element.kind === 'watermark') rises(element.watermark)
    rises(frame.watermark)
    facts.watermarks.set(channel, latest)
  }

  #barrier(channel: string, { epoch, seq, elements, end }: Frame): void {
    const barriers = this.#barriers.get(channel) ?? []
    this.#barriers.set(channel, barriers)
    const last = barriers.at(-1)
    if (last === undefined || epoch > last.epoch) barriers.push({ epoch, seq, bare: elements.length === 0 && end === null })
  }

  #idleness(channel: string, { seq, elements, idle }: Frame): void {
    const element = elements.findIndex((one) => 'kind' in one && one.kind === 'status' && one.idle)
    if ((element === -1 && !idle) || this.#idle.has(channel)) return
    this.#idle.set(channel, { seq, element: element === -1 ? elements.length : element })
  }

  /** The snapshot of checkpoint n holds, of each channel, what was sent before the barrier of n, and nothing else. */
  #cut(log: string, record: CommitRecord, checkpointId: number, { attempt }: LogFacts): void {
    const to = log.slice(log.lastIndexOf('/') + 1)
    for (const [name, { next, successors }] of Object.entries(record.channels)) {
      if (successors !== null) continue
      const barriers = this.#barriers.get(`${attempt}|${name}:${to}`) ?? []
      const { seq, bare, epoch: reached } = barriers.find(({ epoch }) => epoch >= checkpointId) ?? {}
      this.checks.hold(
        '6',
        // A frame that is nothing but this barrier may be behind it already.
        seq !== undefined && (next === seq || (bare === true && reached === checkpointId && next === seq + 1)),
        () => `${log}: the snapshot of ${checkpointId} goes to frame ${next} of channel ${name}, its barrier is ${seq}`,
      )
    }
  }

  #baseOf(state: Part | null): BaseState | undefined {
    const bytes = state === null ? undefined : this.#bytes(state)
    return bytes && decodeBase(bytes)
  }

  #bytes(part: Part): Uint8Array | undefined {
    if (part instanceof Uint8Array) return part
    const blob = this.blob(part.name)
    const bytes = blob && partOf(blob, part)
    this.checks.hold('10', bytes !== undefined, () => `the blob ${part.name} of a commit is not there as it was written`)
    return bytes
  }

  // --- deliveries --------------------------------------------------------------------------------------------------------

  framePut(stage: string, bytes: Uint8Array): void {
    const id = frameId(bytes)
    const log = this.#committed.get(id)
    this.checks.hold(
      '2',
      log !== undefined,
      () => `a frame for ${stage} was put that is in no committed outbox (or differs from it): ${describeFrame(bytes, this.compression)}`,
    )
    if (log !== undefined) this.#arrived(log, id)
  }

  /** A transaction has looked at the marker, whatever it decided. */
  sinkAsked(marker: SinkMarker): SinkFact | undefined {
    const id = markerId(marker)
    const fact = this.sinkFacts.get(id)
    this.checks.hold('2', fact !== undefined, () => `a sink was written to with a marker that is in no committed outbox: ${id}`)
    for (const facts of this.logs.values()) facts.missing.delete(id)
    return fact
  }

  #arrived(log: string, id: string): void {
    this.logs.get(log)?.missing.delete(id)
  }

  // --- the job -----------------------------------------------------------------------------------------------------------

  jobRecord(record: JobRecord): void {
    const before = this.record
    this.record = record
    if (before === undefined || record.attempt !== before.attempt) this.beganWith.set(record.attempt, record.from)
    if (record.pending !== null) this.attemptOf.set(record.pending.id, record.attempt)
    const over = before?.pending ?? null
    if (over !== null && record.pending?.id !== over.id) {
      if (record.completed === over.id) this.completed.set(over.id, { savepoint: over.kind !== 'checkpoint' })
      else this.#aborted.add(over.id)
    }
    this.checks.hold('11', !this.#aborted.has(record.completed), () => `checkpoint ${record.completed} was aborted and completed`)
  }

  /** Whether the attempt that runs began with a checkpoint. */
  get restored(): boolean {
    return (this.beganWith.get(this.record?.attempt ?? 0) ?? null) !== null
  }
}

export function markerId({ writer, attempt, version }: SinkMarker): string {
  return `${writer}@${attempt}.${version}`
}

function ackId({ stage, subtask, checkpointId, ended }: AckHead): string {
  return `ack of ${stage}/${subtask} ${ended ? 'ended' : checkpointId}`
}

/** The checksum that ends a frame, and its length. */
function frameId(bytes: Uint8Array): string {
  const end = bytes.length
  return `frame ${end}:${(bytes[end - 4] | (bytes[end - 3] << 8) | (bytes[end - 2] << 16) | (bytes[end - 1] << 24)) >>> 0}`
}

function describeFrame(bytes: Uint8Array, compression: Compression | undefined): string {
  const { attempt, edge, from, to, seq, epoch } = decodeFrame(bytes, 'a stream', compression)
  return `attempt ${attempt}, channel ${edge}:${from}:${to}, seq ${seq}, epoch ${epoch}`
}
