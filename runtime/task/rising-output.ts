import { MIN_WATERMARK } from '../core/index.js'
import type { Output } from '../operators/stream-operator.js'
import type { WatermarkProgress } from '../operators/watermark-progress.js'

export type { WatermarkProgress } from '../operators/watermark-progress.js'

/**
 * The output of an operator that makes watermarks, which keeps them from going back. A generator's memory is the user's and is not in the
 * log, so after a cold start it begins again from nothing; what it had said before is committed, and only what goes beyond passes here.
 */
export class RisingOutput implements Output<unknown> {
  #watermark = MIN_WATERMARK
  #idle = false

  constructor(readonly output: Output<unknown>) {}

  get progress(): WatermarkProgress {
    return { watermark: this.#watermark, idle: this.#idle }
  }

  /** Tells the operators behind what was said before the cold start. */
  restore({ watermark, idle }: WatermarkProgress): void {
    this.emitWatermark(watermark)
    this.emitStatus(idle)
  }

  collect(value: unknown, timestamp: number): void {
    this.output.collect(value, timestamp)
  }

  collectSide(tagId: string, value: unknown, timestamp: number): void {
    this.output.collectSide(tagId, value, timestamp)
  }

  emitWatermark(watermark: number): void {
    if (watermark <= this.#watermark) return
    this.#watermark = watermark
    this.emitStatus(false)
    this.output.emitWatermark(watermark)
  }

  emitStatus(idle: boolean): void {
    if (idle === this.#idle) return
    this.#idle = idle
    this.output.emitStatus(idle)
  }
}
