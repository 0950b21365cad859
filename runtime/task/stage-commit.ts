import type { KeyedShare } from '../checkpoint/restore-plan.js'
import type { SourcePosition, StageAck } from '../checkpoint/stage-ack.js'
import type { Successor } from '../ports/index.js'
import { keyGroupRange, pack } from '../state/index.js'
import { type CommitBase, type CommitRecord, type Part, partPlace, storePart } from './commit-record.js'
import type { LiveStage } from './live-stage.js'
import { encodeOutbox, isEmpty, type Outbox, type OutgoingFrame } from './outbox.js'
import { isUnsettled } from './outlook.js'
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
  /** The last checkpoint that has completed. */
  readonly completed: number
  readonly live: LiveStage
  readonly ports: StagePorts
  readonly settings: StageSettings
}

export interface PreparedCommit {
  readonly record: CommitRecord
  readonly outbox: Outbox
  /** What changed of operator state, as it stands in the record. */
  readonly operatorChanges: Uint8Array | undefined
}

/**
 * The commit that says what a step did; undefined when it did nothing. Stores what is too large for the log. The end of a subtask
 * counts for every checkpoint after its epoch, so what its sinks hold waits for the next.
 */
export async function prepareCommit(place: CommitPlace, step: Step): Promise<PreparedCommit | undefined> {
  const { live, head, settings, version, completed } = place
  const { cut, end } = step
  const whole = cut !== undefined || end !== undefined
  const frames = framesOf(place, step)
  const sinks = live.takeSinkEntries(version, completed)
  const deltas = live.takeDeltas()
  const operatorChanges = await live.takeOperatorChanges(end === undefined ? cut?.epoch : live.epoch + 1, completed)
  const letters = live.failures.takeLetters()
  const tail = version - head.base.version
  const stale = place.ports.clock.now() - head.base.atMs > settings.logRetentionMs / 2
  const rebased = whole || live.needsBase || tail >= settings.longestTail || stale
  const wakeAt = nextWakeUp(place, step)
  const asked = wakeAt !== null && wakeAt !== head.wakeAt ? wakeAt : null
  const made = frames.length + sinks.length + deltas.length + letters.length > 0 || operatorChanges !== undefined
  const silent = !step.progressed && !made && !live.needsBase && !live.idlenessChanged(head.origins)
  if (silent && asked === null && !stale && !isUnsettled(head, place.ports.clock.now(), settings.settleMs)) return undefined
  if (silent && asked === null && !stale) place.ports.count('settled')
  if (cut !== undefined) frames.push(...live.enterEpoch(cut.epoch, cut.stop))
  if (asked !== null) place.ports.count('wake-up-asked')
  const { base, operators } = rebased ? await newBase(place, whole) : { base: head.base, operators: [] }
  const ack: StageAck | null = whole
    ? { checkpointId: live.epoch, ...live.identity, operators, split: splitOf(live, end?.successors ?? []), ended: end !== undefined }
    : null
  const outbox: Outbox = { frames, sinks, letters, wakeAt: asked, ack }
  const stash = live.input?.takeStashed(rebased) ?? []
  const record: CommitRecord = {
    format: 2,
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
    base,
    deltas: await Promise.all(deltas.map(async ([uid, bytes]) => [uid, await store(place, bytes)] as const)),
    operatorChanges: operatorChanges === undefined ? null : await store(place, operatorChanges),
    stash: stash.length === 0 ? null : await store(place, pack(stash)),
    outbox: isEmpty(outbox) ? null : await store(place, encodeOutbox(outbox)),
    outlook: live.outlook(cut !== undefined || (silent && head.outlook?.asOfCut === true)),
  }
  return { record, outbox, operatorChanges }
}

/** One who has ended has said everything. */
function framesOf({ live, head, settings }: CommitPlace, { cut, end }: Step): OutgoingFrame[] {
  if (end !== undefined) return live.endOutputs(end.successors)
  return head.life === 'ended' ? [] : live.takeFrames(cut === undefined ? settings.watermarkIntervalMs : 0)
}

async function store({ ports, log, version, settings }: CommitPlace, bytes: Uint8Array): Promise<Part> {
  const part = await storePart(partPlace(ports, log, version, settings.inlineBytes), bytes)
  if (!(part instanceof Uint8Array)) ports.count('part-in-blob')
  return part
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

async function newBase(place: CommitPlace, acknowledged: boolean): Promise<{ readonly base: CommitBase; readonly operators: StageAck['operators'] }> {
  const { live, ports, version } = place
  ports.count(acknowledged ? 'base-written' : 'tail-rebased')
  const { vertex } = live.options
  const keyGroups = keyGroupRange(live.index, vertex.maxParallelism, vertex.parallelism)
  const keyed: Record<string, readonly KeyedShare[]> = {}
  for (const [uid, bytes] of live.takeSegments()) {
    const segments = [await ports.checkpoints.writeSegment(uid, live.index, live.epoch, bytes)]
    keyed[uid] = [{ formerSubtask: live.index, keyGroups, segments }]
  }
  const states = await live.operatorStates()
  const elements = new Map(states)
  const operators = vertex.operators.map(({ uid }) => ({
    uid,
    subtask: live.index,
    keyed: keyed[uid]?.[0].segments ?? [],
    operatorState: elements.get(uid) ?? [],
  }))
  const operatorStates = states.length === 0 ? null : await store(place, pack(states))
  return { base: { version, atMs: ports.clock.now(), keyed, operatorStates }, operators }
}
