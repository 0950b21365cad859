import { NO_TIMESTAMP } from '../core/index.js'
import { StreamOperator } from '../operators/stream-operator.js'

/** What came out of an operator, in order. Timestamps and watermarks are epoch ms; -Infinity and Infinity are the first and the last watermark. */
export type OutputItem<T = unknown> =
  | { readonly kind: 'record'; readonly value: T; readonly timestamp: number | null }
  | { readonly kind: 'watermark'; readonly watermark: number }
  | { readonly kind: 'status'; readonly idle: boolean }

/** Takes a sink's place and notes everything that reaches it. */
export class CaptureOperator extends StreamOperator<unknown, never> {
  constructor(readonly note: (item: OutputItem) => void) {
    super()
  }

  processElement(value: unknown, timestamp: number): void {
    this.note({ kind: 'record', value, timestamp: timestamp === NO_TIMESTAMP ? null : timestamp })
  }

  override processWatermark(watermark: number): void {
    this.note({ kind: 'watermark', watermark })
  }

  override processStatus(idle: boolean): void {
    this.note({ kind: 'status', idle })
  }
}
