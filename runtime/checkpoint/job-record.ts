import { MillraceError } from '../core/index.js'
import type { ControlItem } from '../ports/index.js'
import { packChecked, unpackChecked } from '../state/index.js'
import type { StageAck } from './stage-ack.js'

/** What the job as a whole knows of itself on AWS: one item, replaced as a whole. Plain data. */
export interface JobRecord {
  readonly format: 1
  readonly job: string
  /** Of the deployment whose logs count. */
  readonly revision: string
  /** Fingerprint of that deployment's plan. */
  readonly plan: string
  /** {@link firstAttempt} for the job's first activation, one more for each restore. Rises over revisions. */
  readonly attempt: number
  readonly firstAttempt: number
  /** `restoring`: logs are being reset to {@link from}, and no source may commit yet. */
  readonly phase: 'restoring' | 'running' | 'stopped'
  /** What this attempt began with: a checkpoint's manifest, or nothing. */
  readonly from: ManifestRef | null
  /**
   * Ids of checkpoints: the last that was begun, the last that was aborted, the last that completed (or that the first attempt began with).
   * 0: none. Rise over attempts.
   */
  readonly begun: number
  readonly aborted: number
  readonly completed: number
  /** What this attempt goes on from when nothing but its checkpoints is left of it: the last that completed in it, else what it began with. */
  readonly last: ManifestRef | null
  /** Checkpoints up to this id that are no savepoints may have been deleted, all but the one of {@link from}: nothing begins with them any more. */
  readonly dropped: number
  /** Savepoints that were dropped last, likewise. Those dropped before are gone. */
  readonly droppedSavepoints: readonly number[]
  readonly pending: PendingStageCheckpoint | null
  /** Why the last that was aborted was; for people. */
  readonly abortedWhy: string | null
  /** Source subtasks by stage and split. One that has ended stays. */
  readonly sources: Readonly<Record<string, Readonly<Record<string, RegisteredSplit>>>>
  /** For the next source subtask that registers, of whatever stage. */
  readonly nextOrdinal: number
  /** The most subtasks (or ordinals) that a stage has had in any attempt: no sink has had a writer of a greater index. Never falls. */
  readonly writers: number
  /** While restoring: subtasks of former attempts that this one does not have, whose logs are to be retired before any other is reset. */
  readonly leaving: readonly LeavingSubtask[]
}

export interface ManifestRef {
  readonly checkpointId: number
  readonly savepoint: boolean
  /** Where the manifest stands, when it is not in the job's own folder: a savepoint elsewhere, another job's checkpoint. */
  readonly root?: string
}

export interface PendingStageCheckpoint {
  readonly id: number
  readonly kind: 'checkpoint' | 'savepoint' | 'stop'
  readonly startedAtMs: number
  /** Ordinals of the subtasks whose acknowledgement is awaited. */
  readonly need: readonly number[]
  /** All of them have acknowledged: nothing aborts it any more, and its manifest may be on its way. */
  readonly completing: boolean
}

export interface RegisteredSplit {
  /** Tells source subtasks apart; never given again within an attempt. From 0. */
  readonly ordinal: number
  /** `begun` when it registered: its first frame is of this epoch, and earlier checkpoints do not need it. */
  readonly epoch: number
  readonly parents: readonly string[]
}

/** A subtask by the name of its log. */
export interface LeavingSubtask {
  readonly revision: string
  readonly stage: string
  readonly subtask: string
}

/** What a subtask is told of the job record: its log's control item, whose serial is the job record's. */
export interface SubtaskControl {
  readonly attempt: number
  readonly begun: number
  /** The checkpoint `begun` is a stop: nothing follows its barrier. */
  readonly stop: boolean
  /** It is a savepoint (a stop is one, too): its snapshots stand alone. */
  readonly savepoint: boolean
  readonly aborted: number
  readonly completed: number
}

export type { StageAck }

export function encodeJobRecord(record: JobRecord): Uint8Array {
  return packChecked(record)
}

/** `log` is the job's, for the message. Throws LOG_CORRUPT. */
export function decodeJobRecord(log: string, { serial, payload }: ControlItem): JobRecord {
  const unpacked = unpackChecked(payload)
  if ('fault' in unpacked) throw corrupt(log, serial, unpacked.fault)
  const record = unpacked.value as Partial<JobRecord>
  if (record.format === 1) return record as JobRecord
  throw corrupt(log, serial, `it is of format ${String(record.format)}, this version reads format 1`)
}

function corrupt(log: string, serial: number, why: string): MillraceError {
  return new MillraceError('LOG_CORRUPT', {
    what: `the job record cannot be read: ${why}`,
    where: `log ${log}, serial ${serial}`,
    todo: "Nothing but this job may write to its table. Bring the record back from the table's point-in-time recovery, or begin anew in another table with the last checkpoint (docs/operations.md).",
  })
}
