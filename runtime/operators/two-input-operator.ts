import { MAX_WATERMARK, MIN_WATERMARK } from '../core/index.js'
import { StreamOperator } from './stream-operator.js'
import type { WatermarkProgress } from './watermark-progress.js'

/** An operator with two inputs (Flink's TwoInputStreamOperator). Its watermark is the lesser of its inputs' that are not idle. */
export abstract class TwoInputOperator<In1, In2, Out> extends StreamOperator<In1, Out> {
  readonly #inputs = [
    { watermark: MIN_WATERMARK, idle: false },
    { watermark: MIN_WATERMARK, idle: false },
  ]
  #combined = MIN_WATERMARK
  #idle = false

  abstract processElement2(value: In2, timestamp: number): void

  /** What it has let through. No function of its inputs: one that was idle may be behind. */
  get progress(): WatermarkProgress {
    return { watermark: this.#combined, idle: this.#idle }
  }

  /**
   * Before the first element: it had let `through` pass, and its inputs have come so far. Tells those behind it. No timer may fire: those that
   * were due have fired.
   */
  restoreWatermark(through: WatermarkProgress, inputs: readonly WatermarkProgress[]): void {
    for (const [input, { watermark, idle }] of inputs.entries()) {
      this.#inputs[input].watermark = watermark
      // The end of an input is no idleness.
      this.#inputs[input].idle = idle && watermark !== MAX_WATERMARK
    }
    this.#combined = through.watermark
    this.#idle = through.idle
    if (through.watermark > MIN_WATERMARK) {
      this.context.metrics.watermark = through.watermark
      this.processWatermark(through.watermark)
    }
    if (through.idle) this.processStatus(true)
  }

  /** `input` is 0 or 1. */
  processWatermarkOf(input: number, watermark: number): void {
    const status = this.#inputs[input]
    status.idle = false
    if (watermark > status.watermark) status.watermark = watermark
    this.#combine()
  }

  processStatusOf(input: number, idle: boolean): void {
    this.#inputs[input].idle = idle
    this.#combine()
    const allIdle = this.#inputs.every((status) => status.idle)
    if (allIdle === this.#idle) return
    this.#idle = allIdle
    this.processStatus(allIdle)
  }

  #combine(): void {
    let least = MAX_WATERMARK
    let active = false
    for (const { watermark, idle } of this.#inputs) {
      if (idle) continue
      active = true
      if (watermark < least) least = watermark
    }
    if (active && least > this.#combined) {
      this.#combined = least
      this.context.metrics.watermark = least
    } else if (this.context.keyed?.sweeps.eventTimePending !== true) return
    this.processWatermark(this.#combined)
  }

  /** One input is over; `endInput` follows when both are. */
  endInputOf(_input: number): void {}
}
