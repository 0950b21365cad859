import type { SubtaskControl } from '../checkpoint/job-record.js'
import type { SourcePosition } from '../checkpoint/stage-ack.js'
import type { Successor } from '../ports/index.js'
import { keyGroupRange, pack } from '../state/index.js'
import { type BaseState, encodeBase } from './base-state.js'
import { type CommitRecord, type Part, partPlace, storeParts } from './commit-record.js'
import { nextKeyedBase } from './keyed-base.js'
import type { LiveStage } from './live-stage.js'
import type { LoggedState } from './logged-state.js'
import { encodeOutbox, isEmpty, type Outbox, type OutgoingFrame } from './outbox.js'
import { isUnsettled } from './outlook.js'
import type { AckHead } from './stage-acks.js'
import type { StagePorts } from './stage-ports.js'
import type { StageSettings } from './stage-settings.js'

/** What one commit did. */
export interface Step {
  /** Records, frames, a cut, an end or another life: there is something to commit, whatever came of it. */
  readonly progressed: boolean
  readonly kind: 'BATCH' | 'CTL'
  /** The barrier that the commit ends with. */
  readonly cut?: { readonly epoch: number; readonly stop: boolean }
  /** All input is processed; these go on in the place of a source's split. */
  readonly end?: { readonly successors: readonly Successor[] }
  /** The base goes on in other segments: it is to be written again, and nothing else is to be said. */
  readonly compacted?: boolean
  /** A stop is undone. */
  readonly resumed?: boolean
  /** There is more to do at once. */
  readonly more: boolean
}

export interface CommitPlace {
  readonly log: string
  readonly plan: string
  readonly version: number
  readonly head: CommitRecord
  readonly control: SubtaskControl
  readonly live: LiveStage
  /** As of {@link head}. */
  readonly logged: LoggedState
  readonly ports: StagePorts
  readonly settings: StageSettings
}

export interface PreparedCommit {
  readonly record: CommitRecord
  readonly outbox: Outbox
  /** What changed of operator state, as it stands in the record. */
  readonly operatorChanges: Uint8Array | undefined
  /** What changed of keyed state: delta segments by operator. */
  readonly deltas: readonly (readonly [string, Uint8Array])[]
  /** All state, when the commit is a base. */
  readonly base: BaseState | undefined
}

/**
 * The commit that says what a step did; undefined when it did nothing. Stores what is too large for the log. The end of a subtask
 * counts for every checkpoint after its epoch, so what its sinks hold waits for the next.
 */
export async function prepareCommit(place: CommitPlace, step: Step): Promise<PreparedCommit | undefined> {
  const { live, head, settings, version, control } = place
  const { completed } = control
  const { cut, end } = step
  const acknowledged = cut !== undefined || end !== undefined
  const frames = framesOf(place, step)
  const sinks = live.takeSinkEntries(version, completed)
  const deltas = live.takeDeltas()
  const operatorChanges = await live.takeOperatorChanges(end === undefined ? cut?.epoch : live.epoch + 1, completed)
  const letters = live.failures.takeLetters()
  const tail = version - head.base.version
  const stale = place.ports.clock.now() - head.base.atMs > settings.logRetentionMs / 2
  const tailBytes = deltas.reduce((sum, [, bytes]) => sum + bytes.length, place.logged.tailBytes)
  const rebased = acknowledged || step.compacted === true || tail >= settings.longestTail || tailBytes > settings.tailBytes || stale
  const wakeAt = nextWakeUp(place, step)
  // Timers that are due already are left to the next commit of this call.
  const goesOn = step.more && wakeAt !== null && wakeAt <= live.options.time.clock.now()
  const asked = wakeAt !== null && wakeAt !== head.wakeAt && !goesOn ? wakeAt : null
  const made = frames.length + sinks.length + deltas.length + letters.length > 0 || operatorChanges !== undefined
  const silent = !step.progressed && !made && !live.idlenessChanged(head.origins)
  const only = silent && asked === null && !stale && step.compacted !== true
  if (only && !isUnsettled(head, place.ports.clock.now(), settings.settleMs)) return undefined
  if (only) place.ports.count('settled')
  if (cut !== undefined) frames.push(...live.enterEpoch(cut.epoch, cut.stop))
  if (asked !== null) place.ports.count('wake-up-asked')
  const base = rebased ? await nextBase(place, deltas, step) : undefined
  const ack: AckHead | null = acknowledged
    ? { checkpointId: live.epoch, ...live.identity, split: splitOf(live, end?.successors ?? []), ended: end !== undefined }
    : null
  const outbox: Outbox = { frames, sinks, letters, wakeAt: asked, ack }
  const stash = live.input?.takeStashed(rebased) ?? []
  const [basePart, operatorPart, stashPart, outboxPart, ...deltaParts] = await store(place, [
    base === undefined || base.keyed.size + base.operatorStates.size === 0 ? null : encodeBase(base),
    operatorChanges ?? null,
    stash.length === 0 ? null : pack(stash),
    isEmpty(outbox) ? null : encodeOutbox(outbox),
    ...deltas.map(([, bytes]) => bytes),
  ])
  const record: CommitRecord = {
    format: 3,
    plan: place.plan,
    attempt: head.attempt,
    kind: step.kind,
    life: lifeAfter(head.life, step),
    position: live.position === undefined ? null : String(live.position),
    epoch: live.epoch,
    lastNow: live.options.time.clock.now(),
    index: head.index,
    ...live.progress,
    wakeAt,
    successors: end?.successors ?? head.successors,
    base: base === undefined ? { ...head.base, state: null } : { version, atMs: place.ports.clock.now(), state: basePart },
    deltas: deltas.map(([uid], index) => [uid, deltaParts[index] as Part] as const),
    operatorChanges: operatorPart,
    stash: stashPart,
    outbox: outboxPart,
    outlook: live.outlook(cut !== undefined || (silent && head.outlook?.asOfCut === true)),
  }
  return { record, outbox, operatorChanges, deltas, base }
}

/** One who has ended has said everything. */
function framesOf({ live, head, settings }: CommitPlace, { cut, end }: Step): OutgoingFrame[] {
  if (end !== undefined) return live.endOutputs(end.successors)
  return head.life === 'ended' ? [] : live.takeFrames(cut === undefined ? settings.watermarkIntervalMs : 0)
}

/** All that the commit holds, judged together. */
async function store({ ports, log, version, settings }: CommitPlace, parts: readonly (Uint8Array | null)[]): Promise<(Part | null)[]> {
  const stored = await storeParts(partPlace(ports, log, version, settings.inlineBytes), parts)
  if (stored.some((part) => part !== null && !(part instanceof Uint8Array))) ports.count('part-in-blob')
  return stored
}

function lifeAfter(life: CommitRecord['life'], { cut, end, resumed }: Step): CommitRecord['life'] {
  if (end !== undefined) return 'ended'
  if (cut?.stop === true) return 'stopped'
  return resumed === true ? 'running' : life
}

/** Null when nothing waits for a time; one who is stopped or has ended waits for none. */
function nextWakeUp({ live, settings, head }: CommitPlace, step: Step): number | null {
  if (lifeAfter(head.life, step) !== 'running') return null
  const next = live.nextWakeUp(settings.watermarkIntervalMs)
  return next === Number.POSITIVE_INFINITY ? null : next
}

function splitOf(live: LiveStage, successors: readonly Successor[]): SourcePosition | null {
  if (live.source === undefined) return null
  return { splitId: live.options.subtask, position: live.position === undefined ? null : String(live.position), successors }
}

/** At a savepoint (or an end, which counts for every later one) the state stands alone; else the base goes on from the one before. */
async function nextBase(place: CommitPlace, deltas: readonly (readonly [string, Uint8Array])[], { cut, end }: Step): Promise<BaseState> {
  const { live, logged, ports, control, settings } = place
  ports.count(cut === undefined && end === undefined ? 'tail-rebased' : 'base-written')
  const { vertex } = live.options
  const whole = end !== undefined || cut?.stop === true || (cut !== undefined && control.savepoint && control.begun === cut.epoch)
  const keyed = await nextKeyedBase(logged, deltas, {
    checkpoints: ports.checkpoints,
    range: keyGroupRange(live.index, vertex.maxParallelism, vertex.parallelism),
    subtask: live.index,
    epoch: live.epoch,
    backends: live.backends,
    // It stands in the commit and in the acknowledgement.
    inlineBytes: settings.inlineBytes / 2,
    mostSegments: settings.mostSegments,
    compactionBytes: settings.compactionBytes,
    mergedBytes: settings.mergedAtCutBytes,
    whole,
    blockBytes: settings.blockBytes,
    sweptTo: (uid) => live.sweptTo(uid),
    count: (event) => ports.count(event),
  })
  return { keyed, operatorStates: new Map(await live.operatorStates()) }
}
