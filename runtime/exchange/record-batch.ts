/** Records on their way between two subtasks: values and timestamps side by side, so that no object is made for a record. */
export class RecordBatch {
  size = 0
  readonly values: unknown[]
  readonly timestamps: number[]

  constructor(capacity: number) {
    this.values = new Array(capacity)
    this.timestamps = new Array(capacity)
  }

  static of(values: unknown[], timestamps: number[]): RecordBatch {
    const batch = new RecordBatch(0)
    return Object.assign(batch, { size: values.length, values, timestamps })
  }
}

/** Where the snapshot of a checkpoint goes: beside the job's checkpoints, to a savepoint folder, or nowhere (only sinks are to commit). */
export type SnapshotTarget = ({ readonly kind: 'checkpoint' } | { readonly kind: 'savepoint'; readonly path: string } | { readonly kind: 'none' }) & {
  /** The job stops with it: nothing happens behind the barrier. */
  readonly stop?: true
}

/** What travels between batches, in order with them. */
export type ControlElement =
  | { readonly kind: 'watermark'; readonly watermark: number }
  | { readonly kind: 'status'; readonly idle: boolean }
  | { readonly kind: 'barrier'; readonly checkpointId: number; readonly target: SnapshotTarget }
  /** No record will follow; barriers still do. */
  | { readonly kind: 'end' }

export type StreamElement = RecordBatch | ControlElement
