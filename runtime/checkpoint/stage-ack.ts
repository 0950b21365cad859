import type { Successor } from '../ports/index.js'
import type { OperatorSubtaskState } from './manifest.js'

/** What a stage's subtask says of its part of a checkpoint, or of its end. Plain data. */
export interface StageAck {
  /** Id of the checkpoint; of an ended subtask its epoch: the end counts for every later checkpoint. */
  readonly checkpointId: number
  readonly stage: string
  /** The subtask's index, or a source's split. */
  readonly subtask: string
  /** Index of the subtask, or ordinal of the split. */
  readonly index: number
  readonly operators: readonly (OperatorSubtaskState & { readonly uid: string })[]
  /** Of a source: where it stands. */
  readonly split: SourcePosition | null
  /** All input was processed and everything said. */
  readonly ended: boolean
}

export interface SourcePosition {
  readonly splitId: string
  /** The last record that counts; decimal, or null for none. */
  readonly position: string | null
  /** Of one that has ended: the splits that continue it. */
  readonly successors: readonly Successor[]
}
