import { MAX_WATERMARK, MIN_WATERMARK } from '../core/index.js'
import { StreamOperator } from './stream-operator.js'

/** An operator with two inputs (Flink's TwoInputStreamOperator). Its watermark is the lesser of its inputs' that are not idle. */
export abstract class TwoInputOperator<In1, In2, Out> extends StreamOperator<In1, Out> {
  readonly #inputs = [
    { watermark: MIN_WATERMARK, idle: false },
    { watermark: MIN_WATERMARK, idle: false },
  ]
  #combined = MIN_WATERMARK
  #idle = false

  abstract processElement2(value: In2, timestamp: number): void

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
