import { MillraceError } from '../core/index.js'
import { type KeyGroupRange, keyGroupRange, pack, redistributionOf, unpack } from '../state/index.js'
import type { Manifest, OperatorState, SegmentRef } from './manifest.js'

/** An operator of the job that is about to run. */
export interface OperatorToRestore {
  readonly uid: string
  readonly parallelism: number
  readonly maxParallelism: number
}

export interface SubtaskRestore {
  /** Segments of all former subtasks that had key groups of this one, each subtask's in order, with the key groups that count. */
  readonly keyed: readonly SegmentRef[]
  readonly operatorState: readonly unknown[]
}

export interface OperatorRestore {
  /** By subtask. */
  readonly subtasks: readonly SubtaskRestore[]
  readonly coordinatorState: unknown
}

export interface RestorePlan {
  readonly checkpointId: number
  /** By uid; an operator that is new in the job is not in it and starts empty. */
  readonly operators: ReadonlyMap<string, OperatorRestore>
  /** uids of operators whose state is left behind (`allowNonRestoredState`). */
  readonly dropped: readonly string[]
}

export interface RestoreOptions {
  readonly allowNonRestoredState?: boolean
}

/**
 * Which state each subtask of `operators` takes over. Keyed state goes by key group; the elements of operator state stay with
 * their subtask when the parallelism is the same, and are dealt out one by one otherwise, but for those marked `union` or `broadcast`.
 * Throws CHECKPOINT_OTHER_JOB (another job's name; an operator with state that the job lacks), PLAN_INVALID (maxParallelism changed).
 */
export function planRestore(manifest: Manifest, job: string, operators: readonly OperatorToRestore[], options: RestoreOptions = {}): RestorePlan {
  if (manifest.job !== job) throw otherJob(manifest, job)
  const wanted = new Map(operators.map((operator) => [operator.uid, operator]))
  const restored = new Map<string, OperatorRestore>()
  const dropped: string[] = []
  for (const before of manifest.operators) {
    const now = wanted.get(before.uid)
    if (now !== undefined) restored.set(before.uid, restoreOperator(before, now))
    else if (hasState(before)) dropped.push(before.uid)
  }
  if (dropped.length > 0 && options.allowNonRestoredState !== true) throw operatorsGone(manifest, dropped)
  return { checkpointId: manifest.checkpointId, operators: restored, dropped }
}

function restoreOperator(before: OperatorState, now: OperatorToRestore): OperatorRestore {
  if (before.maxParallelism !== now.maxParallelism && hasKeyedState(before)) throw maxParallelismChanged(before, now)
  const operatorState = redistribute(before, now.parallelism)
  const subtasks = Array.from({ length: now.parallelism }, (_, subtask) => ({
    keyed: keyedShares(before, now, subtask),
    operatorState: operatorState[subtask],
  }))
  return { subtasks, coordinatorState: before.coordinatorState }
}

/** A former subtask counts only for its own key groups: its segments may hold others, from before an earlier rescaling. */
function keyedShares(before: OperatorState, now: OperatorToRestore, subtask: number): SegmentRef[] {
  const range = keyGroupRange(subtask, now.maxParallelism, now.parallelism)
  const shares: SegmentRef[] = []
  for (const former of before.subtasks) {
    if (former.keyed.length === 0) continue
    const owned = intersection(range, keyGroupRange(former.subtask, before.maxParallelism, before.parallelism))
    for (const ref of former.keyed) {
      const keyGroups = ref.keyGroups === undefined ? owned : intersection(owned, ref.keyGroups)
      if (keyGroups.first <= keyGroups.last) shares.push(counting(ref, keyGroups, range))
    }
  }
  return shares
}

function intersection(a: KeyGroupRange, b: KeyGroupRange): KeyGroupRange {
  return { first: Math.max(a.first, b.first), last: Math.min(a.last, b.last) }
}

/** What the subtask owns need not be said. */
function counting({ keyGroups: _, ...ref }: SegmentRef, keyGroups: KeyGroupRange, range: KeyGroupRange): SegmentRef {
  return keyGroups.first === range.first && keyGroups.last === range.last ? ref : { ...ref, keyGroups }
}

function redistribute(before: OperatorState, parallelism: number): readonly (readonly unknown[])[] {
  const lists: unknown[][] = Array.from({ length: parallelism }, () => [])
  const formerInOrder = before.subtasks.toSorted((a, b) => a.subtask - b.subtask)
  let dealt = 0
  for (const [index, former] of formerInOrder.entries()) {
    for (const element of former.operatorState) {
      switch (redistributionOf(element)) {
        case 'union':
          for (const list of lists) list.push(copyOf(element))
          break
        case 'broadcast':
          for (let to = index; to < parallelism; to += formerInOrder.length) lists[to].push(copyOf(element))
          break
        case 'split':
          lists[before.parallelism === parallelism ? former.subtask : dealt++ % parallelism].push(element)
      }
    }
  }
  return lists
}

/** Subtasks of one thread must not see each other's changes to what they restored. */
function copyOf(element: unknown): unknown {
  return unpack(pack(element))
}

function hasKeyedState(operator: OperatorState): boolean {
  return operator.subtasks.some((subtask) => subtask.keyed.length > 0)
}

function hasState(operator: OperatorState): boolean {
  return operator.coordinatorState !== undefined || operator.subtasks.some((subtask) => subtask.keyed.length > 0 || subtask.operatorState.length > 0)
}

function otherJob(manifest: Manifest, job: string): MillraceError {
  return new MillraceError('CHECKPOINT_OTHER_JOB', {
    what: `${manifest.kind} ${manifest.checkpointId} belongs to job "${manifest.job}", not to "${job}"`,
    todo: 'Restore it with the job that wrote it, name another checkpoint, or give this job a checkpoint folder of its own.',
  })
}

function operatorsGone(manifest: Manifest, uids: readonly string[]): MillraceError {
  const names = uids.map((uid) => {
    const name = manifest.operators.find((operator) => operator.uid === uid)?.name
    return name === undefined || name === uid ? `"${uid}"` : `"${uid}" (${name})`
  })
  return new MillraceError('CHECKPOINT_OTHER_JOB', {
    what: `${manifest.kind} ${manifest.checkpointId} holds state of ${names.join(', ')}, which the job does not have`,
    todo: 'Give the operators the uids they had, or drop that state on purpose with allowNonRestoredState (--allow-non-restored-state).',
    uid: uids[0],
  })
}

function maxParallelismChanged(before: OperatorState, now: OperatorToRestore): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: `the state was written with maxParallelism ${before.maxParallelism}, the job now has ${now.maxParallelism}`,
    where: `operator "${before.name}" (uid ${before.uid})`,
    todo: `Set maxParallelism to ${before.maxParallelism} again: the number of key groups is fixed for the life of the state; parallelism may change.`,
    uid: before.uid,
  })
}
