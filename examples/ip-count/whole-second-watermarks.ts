import type { WatermarkGenerator, WatermarkOutput } from 'millrace'

const SECOND_MS = 1_000

/**
 * Bounded out-of-orderness whose watermark moves with the data instead of every 200 ms of wall clock. A log read from a disk
 * passes by within a few such intervals, so that with periodic watermarks it would depend on the machine's speed which lines are
 * late; this way the same log always gives the same windows and the same late lines.
 *
 * It speaks only when the watermark reaches another whole second, which for windows that end on whole seconds is the same as
 * speaking at each line, and costs nothing between.
 */
export class WholeSecondWatermarks implements WatermarkGenerator<unknown> {
  #max = Number.NEGATIVE_INFINITY
  #next = Number.NEGATIVE_INFINITY

  constructor(readonly outOfOrdernessMs: number) {}

  onEvent(_event: unknown, timestampMs: number, output: WatermarkOutput): void {
    if (timestampMs <= this.#max) return
    this.#max = timestampMs
    // The watermark t says that t is over: a window that ends at 5000 fires at watermark 4999.
    const over = timestampMs - this.outOfOrdernessMs
    if (over < this.#next) return
    this.#next = (Math.floor(over / SECOND_MS) + 1) * SECOND_MS
    output.emitWatermark(over - 1)
  }

  onPeriodicEmit(output: WatermarkOutput): void {
    if (this.#max > Number.NEGATIVE_INFINITY) output.emitWatermark(this.#max - this.outOfOrdernessMs - 1)
  }
}
