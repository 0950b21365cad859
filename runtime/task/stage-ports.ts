import type { CheckpointStore } from '../checkpoint/index.js'
import type { BlobStore, Channel, Clock, CommitLog, LogItem } from '../ports/index.js'

/** A commit log that finds its newest item without reading the others: a cold start reads head, base and tail. */
export interface SubtaskLog extends CommitLog {
  /** Strongly consistent; undefined when nothing was ever committed. */
  head(subtask: string): Promise<LogItem | undefined>
}

/** All that a stage's subtask touches of the world. */
export interface StagePorts {
  readonly clock: Clock
  readonly log: SubtaskLog
  /** Parts of commits that are too large for the log. */
  readonly parts: BlobStore
  /** Snapshots, in the embedded engine's format. */
  readonly checkpoints: CheckpointStore
  /** The stream of the stage with this id. */
  channel(stage: string): Channel
  /** Uniform in [0, 1). */
  random(): number
  /** A random text of letters and digits that no other call has got. */
  nonce(): string
  pause(ms: number): Promise<void>
}
