import { readKeyedState } from '../checkpoint/keyed-restore.js'
import type { SegmentRef } from '../checkpoint/manifest.js'
import { openRemoteSegment } from '../checkpoint/remote-segment.js'
import type { LogHead, LogItem } from '../ports/index.js'
import { type DecodedSegment, decodeSegment, type KeyedStateBackend, type RemoteSegment, unpack } from '../state/index.js'
import { type BaseState, decodeBase, EMPTY_BASE } from './base-state.js'
import { type CommitRecord, corruptLog, decodeCommit, loadPart } from './commit-record.js'
import { LoggedState } from './logged-state.js'
import type { RemoteState } from './operator-chain.js'
import { foldOperatorStates } from './operator-state-fold.js'
import type { StagePorts } from './stage-ports.js'
import type { StageSettings } from './stage-settings.js'

type RecoveryPorts = Pick<StagePorts, 'log' | 'parts' | 'checkpoints'>

/** What a subtask is opened with. */
export interface RecoveredState {
  readonly version: number
  readonly head: CommitRecord
  readonly logged: LoggedState
  /** By uid, in the order in which they were written; not looked at where there is a backend. */
  readonly segments: ReadonlyMap<string, readonly DecodedSegment[]>
  /** By uid: what stands before those and is read when it is needed; absent: all was read. */
  readonly remote?: ReadonlyMap<string, RemoteState>
  /** Elements by uid. */
  readonly operatorStates: ReadonlyMap<string, readonly unknown[]>
  /** Frames that came and wait; some may have been consumed since. */
  readonly stash: readonly Uint8Array[]
  /** Keyed state that is in memory already, by uid. */
  readonly backends?: ReadonlyMap<string, KeyedStateBackend>
}

/** An item of a subtask's log, decoded. */
export interface Commit {
  readonly version: number
  readonly record: CommitRecord
}

/** What is read at once: the whole state of an operator whose segments are small together. */
export type ReadAhead = Pick<StageSettings, 'wholeStateBytes' | 'smallSegmentBytes' | 'blockCacheBytes'>

/** For whoever wants to see everything. */
export const READ_WHOLE: ReadAhead = { wholeStateBytes: Number.POSITIVE_INFINITY, smallSegmentBytes: 0, blockCacheBytes: 0 }

/**
 * Reads a subtask's log for a cold start: the base its head names, and what was committed since. Of an operator with much keyed state only where it
 * stands. Throws LOG_CORRUPT, CHECKPOINT_CORRUPT.
 */
export async function recover(
  ports: RecoveryPorts,
  log: string,
  newest: NonNullable<LogHead['item']>,
  readAhead: ReadAhead,
): Promise<RecoveredState> {
  const { items } = await ports.log.read(log, decodeCommit(log, newest).base.version - 1)
  const commits = decodeAll(log, items)
  // Others may have committed since the head was read, and moved the base.
  const head = commits.at(-1)
  if (head === undefined) throw corruptLog(log, newest.version, 'it is gone')
  const { base } = head.record
  const first = commits.findIndex(({ version }) => version === base.version)
  if (first < 0) throw corruptLog(log, base.version, 'it is missing')
  const tail = contiguous(log, commits.slice(first), base.version)
  const logged = new LoggedState(await baseOf(ports, log, tail[0]))
  const segments = new Map<string, DecodedSegment[]>()
  const remote = new Map<string, RemoteState>()
  for (const [uid, refs] of logged.base.keyed) {
    const opened = await openRemote(ports, refs, readAhead)
    if (opened === undefined) segments.set(uid, await readKeyedState(refs, (ref) => ports.checkpoints.readSegment(ref)))
    else remote.set(uid, { segments: opened, cacheBytes: readAhead.blockCacheBytes, processedTo: processedTo(head.record) })
  }
  for (const commit of tail.slice(1)) {
    const deltas = await deltasOf(ports, log, commit)
    logged.append(deltas)
    for (const [uid, bytes] of deltas) segments.set(uid, [...(segments.get(uid) ?? []), decodeSegment(bytes, nameOf(log, commit))])
  }
  const { version, record } = head
  const operatorStates = foldOperatorStates(logged.base.operatorStates, await operatorChangesOf(ports, log, tail.slice(1)))
  return { version, head: record, logged, segments, remote, operatorStates, stash: await stashOf(ports, log, tail) }
}

/** Undefined where all is to be read: it is little, or a segment has no blocks. */
async function openRemote(
  { checkpoints }: RecoveryPorts,
  refs: readonly SegmentRef[],
  { wholeStateBytes, smallSegmentBytes }: ReadAhead,
): Promise<readonly RemoteSegment[] | undefined> {
  if (refs.reduce((sum, { bytes }) => sum + bytes, 0) <= wholeStateBytes) return undefined
  const segments = await Promise.all(refs.map((ref) => openRemoteSegment(checkpoints, ref, smallSegmentBytes)))
  return segments.every((segment) => segment !== undefined) ? segments : undefined
}

/** A commit says when the next timer of the clock is due; whoever is stopped does not, nor does a restore. */
function processedTo({ kind, life, wakeAt }: CommitRecord): number {
  if (kind === 'RESET' || life !== 'running') return Number.NEGATIVE_INFINITY
  return wakeAt === null ? Number.POSITIVE_INFINITY : wakeAt - 1
}

/** The state that the newest base of a log says; undefined when the log has none. Throws LOG_CORRUPT. */
export async function newestBase(ports: Pick<RecoveryPorts, 'log' | 'parts'>, log: string): Promise<BaseState | undefined> {
  const { item } = await ports.log.head(log)
  if (item === undefined) return undefined
  const { base } = decodeCommit(log, item)
  if (base.version === item.version) return baseOf(ports, log, { version: item.version, record: decodeCommit(log, item) })
  // Others may have committed since the head was read, and moved the base.
  const commits = decodeAll(log, (await ports.log.read(log, base.version - 1)).items)
  const newest = commits.at(-1)?.record.base.version
  const commit = commits.find(({ version }) => version === newest)
  if (commit === undefined) throw corruptLog(log, newest ?? base.version, 'it is missing')
  return baseOf(ports, log, commit)
}

/** The commits that a memory has missed, if they are changes of what it holds; undefined when it holds another state, or not the one before. */
export function missedCommits(log: string, items: readonly LogItem[], version: number): readonly Commit[] | undefined {
  const commits = decodeAll(log, items)
  return commits.every((commit, index) => commit.version === version + 1 + index && commit.record.kind !== 'RESET') ? commits : undefined
}

/** What a subtask in memory is opened again with, once others have committed: the keyed state in memory takes their changes. */
export async function catchUp(
  ports: RecoveryPorts,
  log: string,
  commits: readonly Commit[],
  memory: {
    readonly backends: ReadonlyMap<string, KeyedStateBackend>
    readonly logged: LoggedState
    readonly operatorStates: ReadonlyMap<string, readonly unknown[]>
    /** What its own commits have changed of them, packed. */
    readonly operatorChanges: readonly Uint8Array[]
    readonly stash: readonly Uint8Array[]
  },
): Promise<RecoveredState> {
  let { logged } = memory
  for (const commit of commits) {
    const deltas = await deltasOf(ports, log, commit)
    for (const [uid, bytes] of deltas) memory.backends.get(uid)?.applyChanges(decodeSegment(bytes, nameOf(log, commit)), bytes.length)
    if (commit.record.base.version === commit.version) logged = new LoggedState(await baseOf(ports, log, commit))
    else logged.append(deltas)
  }
  const { version, record } = commits.at(-1) as Commit
  const changes = [...memory.operatorChanges, ...(await operatorChangesOf(ports, log, commits))]
  const operatorStates = foldOperatorStates(memory.operatorStates, changes)
  const stash = [...memory.stash, ...(await stashOf(ports, log, commits))]
  return { version, head: record, logged, segments: new Map(), operatorStates, stash, backends: memory.backends }
}

function decodeAll(log: string, items: readonly LogItem[]): Commit[] {
  return items.map((item) => ({ version: item.version, record: decodeCommit(log, item) }))
}

function contiguous(log: string, commits: Commit[], from: number): Commit[] {
  commits.forEach(({ version }, index) => {
    if (version !== from + index) throw corruptLog(log, from + index, 'it is missing')
  })
  return commits
}

/** Delta segments by operator. */
function deltasOf(ports: RecoveryPorts, log: string, { version, record }: Commit): Promise<(readonly [string, Uint8Array])[]> {
  return Promise.all(record.deltas.map(async ([uid, part]) => [uid, await loadPart(ports.parts, log, version, part)] as const))
}

async function baseOf(ports: Pick<RecoveryPorts, 'parts'>, log: string, { version, record }: Commit): Promise<BaseState> {
  const { state } = record.base
  return state === null ? EMPTY_BASE : decodeBase(await loadPart(ports.parts, log, version, state))
}

function nameOf(log: string, { version }: Commit): string {
  return `${log}, version ${version}`
}

async function operatorChangesOf(ports: RecoveryPorts, log: string, commits: readonly Commit[]): Promise<readonly Uint8Array[]> {
  const changes: Uint8Array[] = []
  for (const { version, record } of commits) {
    if (record.operatorChanges !== null) changes.push(await loadPart(ports.parts, log, version, record.operatorChanges))
  }
  return changes
}

/** Frames that were consumed since are told by their seq. */
async function stashOf(ports: RecoveryPorts, log: string, commits: readonly Commit[]): Promise<Uint8Array[]> {
  const stash: Uint8Array[] = []
  for (const { version, record } of commits) {
    if (record.stash !== null) stash.push(...(unpack(await loadPart(ports.parts, log, version, record.stash)) as Uint8Array[]))
  }
  return stash
}
