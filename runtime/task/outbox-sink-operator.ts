import { MIN_WATERMARK } from '../core/index.js'
import { StreamOperator } from '../operators/stream-operator.js'
import { applyHeldChanges, type HeldChanges, type HeldElement } from './held-batches.js'
import { sinkWriterName } from './stage-names.js'

/** What one commit has for one sink, column by column. */
export interface SinkBatch {
  readonly values: readonly unknown[]
  readonly timestamps: readonly number[]
  readonly watermarks: readonly number[]
}

/** Stands where a sink stands in the chain and keeps what is meant for it until the commit that made it is won. */
export class OutboxSinkOperator extends StreamOperator<unknown, never> {
  #values: unknown[] = []
  #timestamps: number[] = []
  #watermarks: number[] = []
  #watermark = MIN_WATERMARK

  processElement(value: unknown, timestamp: number): void {
    this.#values.push(value)
    this.#timestamps.push(timestamp)
    this.#watermarks.push(this.#watermark)
  }

  override processWatermark(watermark: number): void {
    this.#watermark = watermark
  }

  override processStatus(): void {}

  /** Undefined when nothing came since the last call. */
  take(): SinkBatch | undefined {
    if (this.#values.length === 0) return undefined
    const batch = { values: this.#values, timestamps: this.#timestamps, watermarks: this.#watermarks }
    this.#values = []
    this.#timestamps = []
    this.#watermarks = []
    return batch
  }
}

/** Holds what is meant for the sink, in its state, until a checkpoint with it has completed. */
export class HeldSinkOperator extends OutboxSinkOperator {
  #elements: readonly HeldElement[] = []

  /** Names who holds: nobody else has the name, in this attempt or another. */
  get #writer(): string {
    const { uid, subtaskIndex, attemptNumber, runtime } = this.context
    return `${sinkWriterName(runtime.jobName, uid, subtaskIndex)}@${attemptNumber}`
  }

  override open(restored: readonly unknown[]): void {
    this.#elements = restored as readonly HeldElement[]
  }

  /** What the commit changes: batches come, get the number of the checkpoint that they wait for, and go once it has completed. */
  change(cut: number | undefined, completed: number): HeldChanges | undefined {
    const batch = this.take()
    const due = this.due(completed).length > 0
    const tags = cut !== undefined && (batch !== undefined || this.#elements.some(({ batches }) => batches.some(([tag]) => tag === null)))
    if (batch === undefined && !due && !tags) return undefined
    const changes: HeldChanges = { held: this.#writer, append: batch ?? null, cut: tags ? (cut as number) : null, released: due ? completed : 0 }
    this.#elements = applyHeldChanges(this.#elements, changes)
    return changes
  }

  /** By writer and checkpoint, everything in one batch. */
  due(completed: number): readonly { readonly writer: string; readonly checkpointId: number; readonly batch: SinkBatch }[] {
    const due: { writer: string; checkpointId: number; batch: SinkBatch }[] = []
    for (const { heldBy, batches } of this.#elements) {
      for (const [tag, batch] of batches) {
        if (tag === null || tag > completed) continue
        const last = due.at(-1)
        if (last !== undefined && last.writer === heldBy && last.checkpointId === tag) last.batch = joined(last.batch, batch)
        else due.push({ writer: heldBy, checkpointId: tag, batch })
      }
    }
    return due
  }

  override snapshotState(): readonly unknown[] {
    return this.#elements
  }
}

function joined(first: SinkBatch, second: SinkBatch): SinkBatch {
  return {
    values: [...first.values, ...second.values],
    timestamps: [...first.timestamps, ...second.timestamps],
    watermarks: [...first.watermarks, ...second.watermarks],
  }
}
