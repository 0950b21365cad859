import type { CheckpointStore } from '../checkpoint/index.js'
import type { BlobStore, Channel, Clock, CommitLog, Compression, Pokes, SourceStreams } from '../ports/index.js'

/** All that a stage's subtask touches of the world. */
export interface StagePorts {
  readonly clock: Clock
  readonly log: CommitLog
  /** Parts of commits that are too large for the log. */
  readonly parts: BlobStore
  /** Snapshots, in the embedded engine's format. */
  readonly checkpoints: CheckpointStore
  readonly pokes: Pokes
  readonly streams: SourceStreams
  readonly deadLetters: DeadLetters
  readonly compression?: Compression
  /** The stream of the stage with this id. */
  channel(stage: string): Channel
  /** Uniform in [0, 1). */
  random(): number
  /** A random text of letters and digits that no other call has got. */
  nonce(): string
  pause(ms: number): Promise<void>
  /** Counts what happens, for metrics. */
  count(event: StageEvent, times?: number): void
}

/** Takes records that the job's functions could not process, when its policy is to go on without them. */
export interface DeadLetters {
  /** `id` names the letter: the same letter may come again. */
  write(id: string, letter: DeadLetter): Promise<void>
}

/** Plain data. */
export interface DeadLetter {
  readonly stage: string
  readonly subtask: string
  /** Where the record stood: position in the split, or channel, seq and place in the frame. */
  readonly where: string
  readonly error: string
  /** Of the operator that threw, where that is known. */
  readonly uid: string | null
  /** Of a record from another stage, if the stage is keyed. */
  readonly key: unknown
  /** Of a source's record, with which it may be put into the stream again. */
  readonly partitionKey: string | null
  /** Processing time when it was given up, epoch ms. */
  readonly atMs: number
  /** The record as it came: bytes of a source's record, the value of one from another stage. */
  readonly record: unknown
}

/** What a subtask does beyond the plain case; each is a metric of its stage. */
export const STAGE_EVENTS = [
  'commit',
  'commit-lost',
  'cold-start',
  'warm-catch-up',
  'cache-too-old',
  'base-from-memory',
  'base-written',
  'incremental-base',
  'inline-segment',
  'compacted-at-cut',
  'compaction',
  'compaction-superseded',
  'segments-too-large',
  'outbox-sent-again',
  'outbox-known-sent',
  'batch-of-other-attempt',
  'batch-held',
  'batch-before-activation',
  'retired-poked',
  'frame-of-older-attempt',
  'frame-of-newer-attempt',
  'frame-seen-before',
  'frame-stashed',
  'frame-of-stranger',
  'frame-divided',
  'gap',
  'stash-over-limit',
  'cut-source',
  'cut-aligned',
  'cut-skipped-aborted',
  'aborted-epoch-consumed',
  'stopped',
  'stop-undone',
  'sweep-interrupted',
  'sweep-resumed',
  'processing-timers-fired',
  'wake-up-asked',
  'watermark-held-back',
  'commit-by-budget',
  'split-ended',
  'split-started',
  'split-start-repeated',
  'channel-begun',
  'parent-holds-watermark',
  'subtask-ended',
  'ended-poked',
  'sink-held-until-checkpoint',
  'sink-released',
  'dead-letter',
  'record-failed',
  'late-record-dropped',
  'part-in-blob',
  'keys-loaded',
  'state-over-budget',
  'tail-rebased',
  'settled',
  'checkpoint-begun',
  'checkpoint-refused',
  'checkpoint-unchanged',
  'checkpoint-completed',
  'checkpoint-aborted',
  'checkpoint-timed-out',
  'control-repaired',
  'tick-poked',
  'tick-quiet',
  'checkpoint-dropped',
  'blob-deleted',
  'record-lost',
  'split-registered',
  'registration-repeated',
  'registration-refused',
  'attempt-begun',
  'activation-resumed',
  'activation-repeated',
  'log-reset',
  'log-reset-before',
  'log-reset-lost',
  'log-retired',
  'split-begun-by-restore',
  'ended-by-restore',
] as const

export type StageEvent = (typeof STAGE_EVENTS)[number]
