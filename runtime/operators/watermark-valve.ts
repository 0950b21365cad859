import { MAX_WATERMARK, MIN_WATERMARK } from '../core/index.js'
import type { WatermarkProgress } from './watermark-progress.js'

export interface ValveOutput {
  emitWatermark(watermark: number): void
  emitStatus(idle: boolean): void
}

/**
 * Combines the watermarks and statuses of an input's channels (Flink's StatusWatermarkValve): the output watermark is the
 * least over channels that are active and have caught up with it; it never goes back. When all channels are idle it goes
 * on to the greatest, then the status turns idle.
 *
 * A channel at the maximum has ended. While others of its edge have not, it counts for nothing: a subtask without input ends early, and what
 * its neighbours still read must not be late when they are merely idle. (Flink's valve would go on to the maximum.) Once its whole edge has
 * ended, it counts like any other, as in Flink: where the other edges are idle or behind, the output reaches the maximum.
 */
export class WatermarkValve {
  readonly #channels: { watermark: number; idle: boolean; aligned: boolean; readonly edge: number }[]
  #last = MIN_WATERMARK
  #idle = false
  /** Some channel has ended. */
  #ended = false

  constructor(
    channels: number,
    readonly output: ValveOutput,
    /** The edge of each channel; by default they are the channels of one. */
    edges: readonly number[] = [],
  ) {
    this.#channels = Array.from({ length: channels }, (_, i) => ({ watermark: MIN_WATERMARK, idle: false, aligned: true, edge: edges[i] ?? 0 }))
  }

  /** What has come out of it. */
  get progress(): WatermarkProgress {
    return { watermark: this.#last, idle: this.#idle }
  }

  /** Before the first input: `through` has come out of it, and its channels have come so far. Emits nothing. */
  restore(through: WatermarkProgress, channels: readonly WatermarkProgress[]): void {
    this.#last = through.watermark
    this.#idle = through.idle
    for (const [channel, { watermark, idle }] of channels.entries()) {
      // Who is active and level counts; whoever does holds the output back, so it is never ahead of one.
      Object.assign(this.#channels[channel], { watermark, idle, aligned: !idle && watermark >= through.watermark })
      if (watermark === MAX_WATERMARK) this.#ended = true
    }
  }

  /** The channels that count. */
  #counting(): readonly { readonly watermark: number; readonly idle: boolean; readonly aligned: boolean }[] {
    const open = new Set(this.#channels.filter(({ watermark }) => watermark !== MAX_WATERMARK).map(({ edge }) => edge))
    return this.#channels.filter(({ watermark, edge }) => watermark !== MAX_WATERMARK || !open.has(edge))
  }

  inputWatermark(channel: number, watermark: number): void {
    const status = this.#channels[channel]
    if (status.idle || watermark <= status.watermark) return
    status.watermark = watermark
    if (watermark === MAX_WATERMARK) this.#ended = true
    if (!status.aligned && watermark >= this.#last) status.aligned = true
    this.#emitLeast()
    if (watermark === MAX_WATERMARK && this.#restIsIdle()) this.#fallIdle(true)
  }

  inputStatus(channel: number, idle: boolean): void {
    const status = this.#channels[channel]
    if (status.idle === idle) return
    status.idle = idle
    if (idle) {
      status.aligned = false
      if (this.#restIsIdle()) this.#fallIdle(status.watermark === this.#last)
      else this.#emitLeast()
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

  #restIsIdle(): boolean {
    return this.#counting().every((channel) => channel.idle)
  }

  /** All that is known has arrived: where the channel that fell idle last held it back, on to what the furthest has reached. */
  #fallIdle(heldBack: boolean): void {
    if (heldBack) {
      let greatest = MIN_WATERMARK
      for (const { watermark } of this.#counting()) greatest = Math.max(greatest, watermark)
      this.#advance(greatest)
    }
    this.#setIdle(true)
  }

  #emitLeast(): void {
    let least = MAX_WATERMARK
    let found = false
    for (const channel of this.#ended ? this.#counting() : this.#channels) {
      if (!channel.aligned) continue
      found = true
      if (channel.watermark < least) least = channel.watermark
    }
    if (found) this.#advance(least)
  }

  #advance(watermark: number): void {
    if (watermark <= this.#last) return
    this.#last = watermark
    this.output.emitWatermark(watermark)
  }
}
