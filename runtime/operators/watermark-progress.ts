/** How far event time has come somewhere. */
export interface WatermarkProgress {
  /** Epoch ms. */
  readonly watermark: number
  readonly idle: boolean
}
