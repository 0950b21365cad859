import type { SegmentRef } from '../checkpoint/index.js'
import type { ClientBatch, PlainError, SourceSplit } from '../core/index.js'
import type { SnapshotTarget } from '../exchange/index.js'
import type { OperatorMetricsSnapshot, SubtaskMetricsSnapshot } from './run-options.js'

/** What one subtask acknowledges of one operator. */
export interface OperatorAck {
  readonly uid: string
  readonly keyed: readonly SegmentRef[]
  readonly operatorState: readonly unknown[]
}

/** From the coordinator to a slot thread. */
export type ToThread =
  | { readonly kind: 'trigger'; readonly checkpointId: number; readonly target: SnapshotTarget; readonly stop: boolean }
  | { readonly kind: 'complete'; readonly checkpointId: number }
  | { readonly kind: 'abort'; readonly checkpointId: number }
  | { readonly kind: 'assign'; readonly uid: string; readonly subtask: number; readonly split: SourceSplit }
  | { readonly kind: 'no-more-splits'; readonly uid: string; readonly subtask: number }
  /** The sources of the alignment group read no further than this watermark. */
  | { readonly kind: 'watermark-limit'; readonly group: string; readonly limit: number }
  /** Sources end as if their input were over. */
  | { readonly kind: 'drain' }
  | { readonly kind: 'metrics'; readonly request: number }
  /** Close everything; answered by `closed`. */
  | { readonly kind: 'close' }

/** From a slot thread to the coordinator. */
export type FromThread =
  | { readonly kind: 'running' }
  | { readonly kind: 'split-request'; readonly uid: string; readonly subtask: number }
  /** From a source's reader to its enumerator. */
  | { readonly kind: 'source-event'; readonly uid: string; readonly subtask: number; readonly event: unknown }
  /** How far a source that is aligned with others has come; Infinity when it holds nobody back. */
  | { readonly kind: 'source-watermark'; readonly uid: string; readonly subtask: number; readonly watermark: number }
  | {
      readonly kind: 'ack'
      readonly checkpointId: number
      readonly subtask: string
      readonly operators: readonly OperatorAck[]
      readonly bytes: number
    }
  | { readonly kind: 'decline'; readonly checkpointId: number; readonly error: PlainError }
  /** This subtask has processed all its input. */
  | { readonly kind: 'ended'; readonly subtask: string }
  /** This subtask has committed what checkpoint n made final. */
  | { readonly kind: 'committed'; readonly checkpointId: number; readonly subtask: string }
  | { readonly kind: 'collected'; readonly name: string; readonly values: readonly unknown[]; readonly batch: ClientBatch }
  | {
      readonly kind: 'metrics'
      readonly request: number
      readonly operators: readonly OperatorMetricsSnapshot[]
      readonly subtasks: readonly SubtaskMetricsSnapshot[]
    }
  | { readonly kind: 'failed'; readonly error: PlainError }
  | { readonly kind: 'closed' }

/** A subtask's name in messages: vertex id and index. */
export function subtaskName(vertex: string, subtask: number): string {
  return `${vertex}/${subtask}`
}
