import { MAX_WATERMARK, MIN_WATERMARK } from '../core/index.js'

export interface ValveOutput {
  emitWatermark(watermark: number): void
  emitStatus(idle: boolean): void
}

/**
 * Combines the watermarks and statuses of an input's channels (Flink's StatusWatermarkValve): the output watermark is the
 * least over channels that are active and have caught up with it; it never goes back. When all channels are idle it goes
 * on to the greatest, then the status turns idle.
 */
export class WatermarkValve {
  readonly #channels: { watermark: number; idle: boolean; aligned: boolean }[]
  #last = MIN_WATERMARK
  #idle = false

  constructor(
    channels: number,
    readonly output: ValveOutput,
  ) {
    this.#channels = Array.from({ length: channels }, () => ({ watermark: MIN_WATERMARK, idle: false, aligned: true }))
  }

  inputWatermark(channel: number, watermark: number): void {
    const status = this.#channels[channel]
    if (status.idle || watermark <= status.watermark) return
    status.watermark = watermark
    if (!status.aligned && watermark >= this.#last) status.aligned = true
    this.#emitLeast()
  }

  inputStatus(channel: number, idle: boolean): void {
    const status = this.#channels[channel]
    if (status.idle === idle) return
    status.idle = idle
    if (idle) {
      status.aligned = false
      if (this.#channels.every((c) => c.idle)) {
        // All that is known has arrived: do not hold back what the furthest channel has reached.
        if (status.watermark === this.#last) this.#emitGreatest()
        this.#setIdle(true)
      } else {
        this.#emitLeast()
      }
      return
    }
    if (status.watermark >= this.#last) status.aligned = true
    this.#setIdle(false)
  }

  #setIdle(idle: boolean): void {
    if (this.#idle === idle) return
    this.#idle = idle
    this.output.emitStatus(idle)
  }

  #emitLeast(): void {
    let least = MAX_WATERMARK
    let found = false
    for (const channel of this.#channels) {
      if (!channel.aligned) continue
      found = true
      if (channel.watermark < least) least = channel.watermark
    }
    if (found) this.#advance(least)
  }

  #emitGreatest(): void {
    this.#advance(this.#channels.reduce((greatest, channel) => Math.max(greatest, channel.watermark), MIN_WATERMARK))
  }

  #advance(watermark: number): void {
    if (watermark <= this.#last) return
    this.#last = watermark
    this.output.emitWatermark(watermark)
  }
}
