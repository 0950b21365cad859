import type { WatermarkGenerator, WatermarkOutput } from '../core/index.js'

/** Processing time as event time: never goes back, whatever the machine's clock does. */
export class IngestionTime implements WatermarkGenerator<unknown> {
  #last = Number.NEGATIVE_INFINITY

  constructor(readonly clock: () => number) {}

  now(): number {
    this.#last = Math.max(this.#last, this.clock())
    return this.#last
  }

  onEvent(): void {}

  onPeriodicEmit(output: WatermarkOutput): void {
    output.emitWatermark(this.now() - 1)
  }
}
