/** Where a watermark generator says what it knows (Flink's WatermarkOutput). */
export interface WatermarkOutput {
  /** Event time has reached `timestamp` (epoch ms). A lower one than before is ignored. */
  emitWatermark(timestamp: number): void
  /** Nothing will come for a while: downstream stops waiting for this input. */
  markIdle(): void
  markActive(): void
}

/** Flink's WatermarkGenerator: `onEvent` for each record (punctuated), `onPeriodicEmit` every auto-watermark interval (200 ms). */
export interface WatermarkGenerator<T> {
  onEvent(event: T, timestamp: number, output: WatermarkOutput): void
  onPeriodicEmit(output: WatermarkOutput): void
}

/** `recordTimestamp` is the one the record already had, -Infinity when none. Returns epoch milliseconds. */
export type TimestampAssigner<T> = (event: T, recordTimestamp: number) => number
