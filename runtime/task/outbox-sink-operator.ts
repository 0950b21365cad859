import { MIN_WATERMARK, MillraceError } from '../core/index.js'
import { type HeldElement, isHeldElement, type ReleasedBatch, releasedBatches } from '../operators/held-element.js'
import type { SinkBatch } from '../operators/sink-batch.js'
import { isEmptySinkSnapshot } from '../operators/sink-operator.js'
import { StreamOperator } from '../operators/stream-operator.js'
import { applyHeldChanges, type HeldChanges } from './held-batches.js'
import { sinkWriterName } from './stage-names.js'

/** Stands where a sink stands in the chain and keeps what is meant for it until the commit that made it is won. */
export class OutboxSinkOperator extends StreamOperator<unknown, never> {
  #values: unknown[] = []
  #timestamps: number[] = []
  #watermarks: number[] = []
  #watermark = MIN_WATERMARK

  /**
   * Throws PLAN_INVALID for records that wait for a checkpoint and would be left behind without a word. What one process had prepared it has
   * committed itself when it was stopped with the savepoint.
   */
  override open(restored: readonly unknown[]): void {
    if (restored.some((element) => isHeldElement(element) && element.batches.length > 0)) throw this.leftBehind()
  }

  protected leftBehind(): MillraceError {
    const { uid, name } = this.context
    return new MillraceError('PLAN_INVALID', {
      what: "the sink's state holds records that wait for a checkpoint, or what it has prepared and not committed, and the sink here takes none",
      where: `operator "${name}" (uid ${uid})`,
      todo: 'Keep its delivery as it was (or go on in one process), or give the sink another uid and leave its state behind with allowNonRestoredState.',
      uid,
    })
  }

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

  /** Throws PLAN_INVALID for what it left in one process when something is in it. */
  override open(restored: readonly unknown[]): void {
    for (const element of restored) if (!isHeldElement(element) && !isEmptySinkSnapshot(element)) throw this.leftBehind()
    this.#elements = restored.filter(isHeldElement)
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

  due(completed: number): readonly ReleasedBatch[] {
    return releasedBatches(this.#elements, completed)
  }

  /** The first checkpoint that something held waits for; undefined while none has begun. */
  get awaits(): number | undefined {
    return this.#elements
      .flatMap(({ batches }) => batches)
      .reduce<number | undefined>((least, [tag]) => (tag === null || (least !== undefined && least < tag) ? least : tag), undefined)
  }

  override snapshotState(): readonly unknown[] {
    return this.#elements
  }
}
