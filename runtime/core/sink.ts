import type { ExternalResource } from './external-resource.js'
import type { RuntimeContext } from './functions.js'

/**
 * Two-phase sink (Flink's Sink V2). A writer takes records; at a barrier it hands over what must be committed; the
 * committer makes that visible once the checkpoint is complete. Without a committer a sink is at least once.
 */
export interface Sink<T, Committable = unknown, WriterState = unknown> {
  /** For the default uid and name, e.g. `file-sink`. */
  readonly name: string
  /** `restored` holds this subtask's share of the writer states in the checkpoint (empty at first start). */
  createWriter(context: SinkWriterContext, restored: readonly WriterState[]): SinkWriter<T, Committable, WriterState>
  createCommitter?(context: SinkWriterContext): Committer<Committable>
  /** Present when the outside takes the records of one commit and its marker in one transaction: exactly once where each commit is durable (AWS). */
  createTransactor?(context: SinkWriterContext): SinkTransactor<T>
  /**
   * Where each commit is durable (AWS): `onCommit` (the default) delivers at once what a commit has; `onCheckpoint` holds it in state until a
   * checkpoint with it has completed, so that a restore never repeats what was seen outside.
   */
  readonly delivery?: 'onCommit' | 'onCheckpoint'
  /** What it writes to, by logical names; `context.runtime.physicalName` says what they are called. */
  readonly resources?: readonly ExternalResource[]
}

/**
 * Says which commit of which subtask records are from. Of one writer, later ones have a greater (attempt, version). Records that waited for a
 * checkpoint have attempt 0 and its number; their writer's name ends with `@` and the attempt in which they came.
 */
export interface SinkMarker {
  /** Names one subtask of one sink of one job. */
  readonly writer: string
  /** The job's run since its last restore. */
  readonly attempt: number
  readonly version: number
}

/** A record as a sink gets it: the value, its timestamp, and the watermark that had passed before it. */
export interface SinkRecord<T> extends SinkElementContext {
  readonly value: T
}

/** Writes commits to the outside, each once: record and marker in one transaction. */
export interface SinkTransactor<T> {
  /** Writes the records and the marker if the marker is later than the writer's stored one, else nothing: it has been applied before. */
  apply(marker: SinkMarker, records: readonly SinkRecord<T>[]): Promise<void>
  /** A restore: raises the writer's stored marker to (attempt, 0), so that instances of former attempts no longer write. */
  fence(writer: string, attempt: number): Promise<void>
  close?(): void | Promise<void>
}

/** Where a sink writer runs. */
export interface SinkWriterContext {
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly runtime: RuntimeContext
  /** The checkpoint this run was restored from; 0 for a fresh start. */
  readonly restoredCheckpointId: number
  now(): number
  /** Hands committed results to whoever started the job (`collect(name)`). A batch that comes again after a failure counts once. */
  emitToClient(name: string, values: readonly unknown[], batch: ClientBatch): void
}

/** The results that one subtask of a sink had for one checkpoint. */
export interface ClientBatch {
  /** uid of the sink. */
  readonly uid: string
  readonly subtaskIndex: number
  readonly checkpointId: number
}

/** What a sink writer may ask for beside the value. */
export interface SinkElementContext {
  /** Event timestamp (epoch ms) or null. */
  readonly timestamp: number | null
  readonly currentWatermark: number
}

/** Writes the records of one subtask (Flink's SinkWriter); what it prepares at a checkpoint the committer makes final. */
export interface SinkWriter<T, Committable = unknown, WriterState = unknown> {
  write(value: T, context: SinkElementContext): void
  /**
   * For a writer that sends what it was given asynchronously: a promise while it holds enough of it, which resolves when there is room again;
   * undefined while there is. In one process, where it is asked between batches of records, its subtask takes no input meanwhile. The job fails
   * with what the promise rejects with, or the call throws.
   */
  ready?(): Promise<void> | undefined
  /**
   * At a barrier (and at the end of input, with `endOfInput`): everything written so far is to be made durable, and what
   * the committer must do for it is returned. The call itself must switch to the next epoch at once; durability may be
   * reached asynchronously: the checkpoint waits for the promise, records do not.
   */
  prepareCommit(checkpointId: number, endOfInput: boolean): readonly Committable[] | Promise<readonly Committable[]>
  /** Plain data, taken right after prepareCommit's call. */
  snapshotState?(checkpointId: number): readonly WriterState[]
  close(): void | Promise<void>
}

/** Makes committables visible. Must be idempotent: after a failure the same ones come again. */
export interface Committer<Committable> {
  commit(committables: readonly Committable[]): void | Promise<void>
  close?(): void | Promise<void>
}
