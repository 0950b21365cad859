/**
 * The decisions of the embedded checkpoint coordinator, as pure functions: facts in, a new state and what to do out.
 * Times are milliseconds of one clock that does not go back.
 *
 * I1 Ids rise, over restarts too.
 * I2 Never more than `maxConcurrent` checkpoints are pending.
 * I3 A checkpoint leaves `pending` once, completed or aborted; what is said of it afterwards is `late`.
 * I4 Once all its subtasks have acknowledged, a checkpoint is no longer aborted by time or by a newer one: its manifest may be on its way.
 */
export type TriggerReason = 'periodic' | 'savepoint' | 'stop' | 'final'

export interface CoordinatorConfig {
  /** 0 switches periodic checkpoints off. */
  readonly intervalMs: number
  /** From the end of one to the start of the next periodic one. */
  readonly minPauseMs: number
  readonly timeoutMs: number
  readonly maxConcurrent: number
  /** So many failures in a row are borne; the next fails the job. */
  readonly tolerableFailures: number
}

export interface PendingCheckpoint {
  readonly id: number
  readonly reason: TriggerReason
  readonly startedAtMs: number
  /** Subtasks that have not acknowledged; empty while the manifest is being written. */
  readonly outstanding: ReadonlySet<string>
}

export interface CoordinatorState {
  readonly nextId: number
  /** By id, ascending. */
  readonly pending: readonly PendingCheckpoint[]
  /** The completed one of the highest id, savepoints left out. */
  readonly lastCompletedId: number | undefined
  /** Start of the last checkpoint, or of the job. Savepoints left out: they do not put off the periodic ones. */
  readonly lastStartedMs: number
  /** End of the last checkpoint, completed or not. */
  readonly lastEndedMs: number | undefined
  readonly failuresInARow: number
  readonly completed: number
  readonly failed: number
  /** A `stop` or `final` checkpoint is complete: there will be no other. */
  readonly ended: boolean
}

export type TriggerDecision =
  | { readonly kind: 'trigger'; readonly id: number }
  /** Ask again at `untilMs` (Infinity: never by itself), and after every ack, decline or timeout. */
  | { readonly kind: 'wait'; readonly untilMs: number }
  | { readonly kind: 'refuse'; readonly why: string }

export type AckOutcome =
  | { readonly kind: 'pending' }
  /** All have acknowledged: write the manifest, then say `onStored` or `onDecline`. */
  | { readonly kind: 'acknowledged' }
  /** Not pending any more, or this subtask had acknowledged: its segments are not needed. */
  | { readonly kind: 'late' }

export interface Aborted {
  readonly id: number
  readonly reason: TriggerReason
  readonly why: 'declined' | 'timed-out' | 'subsumed'
}

/** `failJob`: more failures in a row than are tolerated. */
export interface AbortOutcome {
  readonly aborted: readonly Aborted[]
  readonly failJob: boolean
}

/** `nextId` must be above every id in the checkpoint folder, also of those that are not restored. */
export function startCoordinator(nextId: number, now: number): CoordinatorState {
  return {
    nextId,
    pending: [],
    lastCompletedId: undefined,
    lastStartedMs: now,
    lastEndedMs: undefined,
    failuresInARow: 0,
    completed: 0,
    failed: 0,
    ended: false,
  }
}

/** Whether a checkpoint may begin. After `trigger`, {@link onTriggered} notes it. */
export function decideTrigger(state: CoordinatorState, config: CoordinatorConfig, now: number, reason: TriggerReason): TriggerDecision {
  if (state.ended) return { kind: 'refuse', why: 'the job has stopped' }
  if (state.pending.some((p) => endsJob(p.reason))) return { kind: 'refuse', why: 'the job is stopping' }
  if (reason === 'periodic' && config.intervalMs <= 0) return { kind: 'refuse', why: 'periodic checkpoints are switched off' }
  if (state.pending.length >= config.maxConcurrent) return { kind: 'wait', untilMs: nextTimeoutMs(state, config) }
  if (reason === 'periodic') {
    const earliest = Math.max(state.lastStartedMs + config.intervalMs, (state.lastEndedMs ?? Number.NEGATIVE_INFINITY) + config.minPauseMs)
    if (now < earliest) return { kind: 'wait', untilMs: earliest }
  }
  return { kind: 'trigger', id: state.nextId }
}

/** `subtasks` are those whose acknowledgement is awaited. */
export function onTriggered(state: CoordinatorState, reason: TriggerReason, subtasks: Iterable<string>, now: number): CoordinatorState {
  const begun: PendingCheckpoint = { id: state.nextId, reason, startedAtMs: now, outstanding: new Set(subtasks) }
  return { ...state, nextId: state.nextId + 1, pending: [...state.pending, begun], lastStartedMs: reason === 'savepoint' ? state.lastStartedMs : now }
}

export function onAck(state: CoordinatorState, id: number, subtask: string): { readonly state: CoordinatorState; readonly outcome: AckOutcome } {
  const checkpoint = state.pending.find((p) => p.id === id)
  if (checkpoint === undefined || !checkpoint.outstanding.has(subtask)) return { state, outcome: { kind: 'late' } }
  const outstanding = new Set(checkpoint.outstanding)
  outstanding.delete(subtask)
  const pending = state.pending.map((p) => (p === checkpoint ? { ...p, outstanding } : p))
  return { state: { ...state, pending }, outcome: { kind: outstanding.size === 0 ? 'acknowledged' : 'pending' } }
}

/**
 * The manifest is written. A checkpoint aborts the older periodic ones that still wait for acknowledgements (they are subsumed,
 * which is no failure); a savepoint, which is not for recovery, does not. `late` when it is not waiting for this.
 */
export function onStored(
  state: CoordinatorState,
  id: number,
  now: number,
): {
  readonly state: CoordinatorState
  readonly outcome: { readonly kind: 'late' } | { readonly kind: 'completed'; readonly aborted: readonly Aborted[] }
} {
  const done = state.pending.find((p) => p.id === id)
  if (done === undefined || done.outstanding.size > 0) return { state, outcome: { kind: 'late' } }
  const subsumed = done.reason === 'savepoint' ? [] : state.pending.filter((p) => p.id < id && p.reason === 'periodic' && p.outstanding.size > 0)
  const next: CoordinatorState = {
    ...state,
    pending: state.pending.filter((p) => p !== done && !subsumed.includes(p)),
    lastCompletedId: done.reason === 'savepoint' ? state.lastCompletedId : Math.max(id, state.lastCompletedId ?? id),
    lastEndedMs: now,
    failuresInARow: 0,
    completed: state.completed + 1,
    ended: state.ended || endsJob(done.reason),
  }
  return { state: next, outcome: { kind: 'completed', aborted: subsumed.map((p) => aborted(p, 'subsumed')) } }
}

/** A subtask declined, or the manifest could not be written. Nothing is aborted when the checkpoint is not pending. */
export function onDecline(
  state: CoordinatorState,
  config: CoordinatorConfig,
  id: number,
  now: number,
): { readonly state: CoordinatorState } & AbortOutcome {
  return abort(state, config, (p) => p.id === id, 'declined', now)
}

/** Aborts what has been waiting for acknowledgements for `timeoutMs`. */
export function onTimeout(state: CoordinatorState, config: CoordinatorConfig, now: number): { readonly state: CoordinatorState } & AbortOutcome {
  return abort(state, config, (p) => p.outstanding.size > 0 && now >= p.startedAtMs + config.timeoutMs, 'timed-out', now)
}

/** When the next pending checkpoint times out; Infinity when none will. */
export function nextTimeoutMs(state: CoordinatorState, config: CoordinatorConfig): number {
  const waiting = state.pending.filter((p) => p.outstanding.size > 0)
  return Math.min(...waiting.map((p) => p.startedAtMs + config.timeoutMs))
}

/** The job starts again: what was pending is gone, ids go on. A job that had stopped, and then failed while its sinks committed, runs again. */
export function onRestart(state: CoordinatorState, now: number): CoordinatorState {
  return { ...state, pending: [], lastStartedMs: now, lastEndedMs: undefined, failuresInARow: 0, ended: false }
}

function abort(
  state: CoordinatorState,
  config: CoordinatorConfig,
  doomed: (pending: PendingCheckpoint) => boolean,
  why: 'declined' | 'timed-out',
  now: number,
): { readonly state: CoordinatorState } & AbortOutcome {
  const gone = state.pending.filter(doomed)
  if (gone.length === 0) return { state, aborted: [], failJob: false }
  const failuresInARow = state.failuresInARow + gone.filter((p) => countsAsFailure(p.reason)).length
  const next = {
    ...state,
    pending: state.pending.filter((p) => !gone.includes(p)),
    lastEndedMs: now,
    failuresInARow,
    failed: state.failed + gone.length,
  }
  const failJob = gone.some((p) => countsAsFailure(p.reason)) && failuresInARow > config.tolerableFailures
  return { state: next, aborted: gone.map((p) => aborted(p, why)), failJob }
}

function aborted({ id, reason }: PendingCheckpoint, why: Aborted['why']): Aborted {
  return { id, reason, why }
}

function endsJob(reason: TriggerReason): boolean {
  return reason === 'stop' || reason === 'final'
}

/** A savepoint, or a stop with one, was asked for by somebody who is told of its failure; the job goes on, as in Flink. */
function countsAsFailure(reason: TriggerReason): boolean {
  return reason === 'periodic' || reason === 'final'
}
