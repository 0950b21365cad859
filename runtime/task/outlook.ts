import { controlOf } from '../checkpoint/job-decisions.js'
import type { JobRecord, SubtaskControl } from '../checkpoint/job-record.js'
import type { CommitRecord } from './commit-record.js'

/**
 * What a commit leaves to be done though nothing comes for the subtask any more. Whoever ticks reads it in the log, and pokes only those for whom
 * there is something. A record without one (of a restore, of a split's start) leaves everything open.
 */
export interface Outlook {
  /** State, position and channels are those of the cut of `epoch`. */
  readonly asOfCut: boolean
  /** From then on time alone may move a watermark or make an input idle, epoch ms; null: it never will. */
  readonly moves: number | null
  /** What sinks hold back goes once this checkpoint has completed; null: nothing is held, or the checkpoint has not begun. */
  readonly awaits: number | null
  /** Frames wait, or timers that are due. */
  readonly waiting: boolean
}

/** By position, and the plain case as one byte. */
export type PackedOutlook = null | 0 | readonly [flags: number, moves: number | null, awaits: number | null]

const AS_OF_CUT = 1
const WAITING = 2

export function packedOutlook(outlook: Outlook | null): PackedOutlook {
  if (outlook === null) return null
  const { asOfCut, moves, awaits, waiting } = outlook
  const flags = (asOfCut ? AS_OF_CUT : 0) | (waiting ? WAITING : 0)
  return flags === 0 && moves === null && awaits === null ? 0 : [flags, moves, awaits]
}

export function unpackedOutlook(packed: PackedOutlook): Outlook | null {
  if (packed === null) return null
  const [flags, moves, awaits] = packed === 0 ? [0, null, null] : packed
  return { asOfCut: (flags & AS_OF_CUT) !== 0, moves, awaits, waiting: (flags & WAITING) !== 0 }
}

/**
 * Whether a poke that finds nothing to do is worth a commit that says so: nobody can read in the log that the head's outbox has arrived, or what
 * the head leaves to be done, and so ticks would poke for ever.
 */
export function isUnsettled({ outbox, outlook, life, lastNow, base }: CommitRecord, now: number, settleMs: number): boolean {
  if (outbox === null && (outlook !== null || life !== 'running')) return false
  return now - Math.max(lastNow, base.atMs) >= settleMs
}

export interface TickFacts {
  readonly record: JobRecord
  readonly now: number
  readonly logRetentionMs: number
  readonly settleMs: number
}

/** Whether a poke may bring forth anything, as far as the log says. What it cannot say, that a source's split has ended, is the caller's to find. */
export function isWorthAPoke(head: CommitRecord, { record, now, logRetentionMs, settleMs }: TickFacts): boolean {
  const { life, epoch, outlook, wakeAt, base, sweep } = head
  if (life === 'retired') return false
  if (head.attempt !== record.attempt || isUnsettled(head, now, settleMs) || now - base.atMs > logRetentionMs / 2) return true
  if (outlook?.awaits != null && outlook.awaits <= record.completed) return true
  if (life === 'ended') return false
  if (life === 'stopped') return record.aborted >= epoch
  if (record.begun > epoch && record.begun > record.aborted) return true
  if (sweep !== null || outlook?.waiting === true) return true
  return Math.min(wakeAt ?? Number.POSITIVE_INFINITY, outlook?.moves ?? Number.POSITIVE_INFINITY) <= now
}

/** Whether the subtask is as the job's last completed checkpoint has it. */
export function isAsOfCheckpoint({ life, epoch, attempt, outlook }: CommitRecord, record: JobRecord): boolean {
  if (attempt !== record.attempt) return false
  // An end counts for every checkpoint after its epoch.
  if (life === 'ended') return epoch < record.completed
  return life === 'running' && outlook?.asOfCut === true && epoch === record.completed
}

/** Whether the subtask has heard what concerns it: of completed checkpoints only those hear whose sinks may wait for one. */
export function hasHeard(told: SubtaskControl | undefined, record: JobRecord, hasSink: boolean): boolean {
  const news = controlOf(record)
  if (told === undefined) return false
  const { attempt, begun, stop, aborted, completed } = told
  return (
    attempt === news.attempt && begun === news.begun && stop === news.stop && aborted === news.aborted && (!hasSink || completed === news.completed)
  )
}
