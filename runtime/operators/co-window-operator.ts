import { MIN_WATERMARK } from '../core/index.js'
import type { OperatorContext, Output, StreamOperator } from './stream-operator.js'
import { TwoInputOperator } from './two-input-operator.js'
import type { WatermarkProgress } from './watermark-progress.js'
import { WatermarkValve } from './watermark-valve.js'

/** An element of one of two streams (Flink's CoGroupedStreams.TaggedUnion): what assigners, triggers and evictors of a window join get. */
export type TaggedUnion<T1, T2> = { readonly input: 1; readonly value: T1 } | { readonly input: 2; readonly value: T2 }

/**
 * Two streams into one window operator: each element goes there with its input's number. In Flink this is a union before the window, so
 * watermarks and statuses come together as those of a union do.
 */
export class CoWindowOperator<In1, In2, Out> extends TwoInputOperator<In1, In2, Out> {
  readonly #union = new WatermarkValve(
    2,
    { emitWatermark: (watermark) => this.#pass(watermark), emitStatus: (idle) => this.windows.processStatus(idle) },
    [0, 1],
  )
  #watermark = MIN_WATERMARK

  constructor(readonly windows: StreamOperator<TaggedUnion<In1, In2>, Out>) {
    super()
  }

  override setup(context: OperatorContext, output: Output<Out>): void {
    super.setup(context, output)
    this.windows.setup(context, output)
  }

  override open(restored: readonly unknown[]): void | Promise<void> {
    return this.windows.open(restored)
  }

  processElement(value: In1, timestamp: number): void {
    this.windows.processElement({ input: 1, value }, timestamp)
  }

  processElement2(value: In2, timestamp: number): void {
    this.windows.processElement({ input: 2, value }, timestamp)
  }

  #pass(watermark: number): void {
    this.#watermark = watermark
    this.windows.processWatermark(watermark)
  }

  override processWatermarkOf(input: number, watermark: number): void {
    // The valve would stop a watermark that it has seen.
    if (this.context.keyed?.sweeps.eventTimePending === true) this.windows.processWatermark(this.#watermark)
    this.#union.inputWatermark(input, watermark)
  }

  override get progress(): WatermarkProgress {
    return this.#union.progress
  }

  override restoreWatermark(through: WatermarkProgress, inputs: readonly WatermarkProgress[]): void {
    this.#union.restore(through, inputs)
    if (through.watermark > MIN_WATERMARK) this.#pass(through.watermark)
    if (through.idle) this.windows.processStatus(true)
  }

  override resumeSweep(): void {
    this.windows.resumeSweep()
  }

  override processStatusOf(input: number, idle: boolean): void {
    this.#union.inputStatus(input, idle)
  }

  override endInput(): void {
    this.windows.endInput()
  }

  override snapshotState(checkpointId: number): readonly unknown[] | Promise<readonly unknown[]> {
    return this.windows.snapshotState(checkpointId)
  }

  override notifyCheckpointComplete(checkpointId: number): void | Promise<void> {
    return this.windows.notifyCheckpointComplete(checkpointId)
  }

  override close(): void | Promise<void> {
    return this.windows.close()
  }
}
