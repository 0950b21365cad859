import { MIN_WATERMARK } from '../core/index.js'
import { StreamOperator } from '../operators/stream-operator.js'

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
