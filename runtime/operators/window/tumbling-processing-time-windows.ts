import { AlignedProcessingTimeWindows } from './aligned-window-assigner.js'

/** Windows of one size, side by side, by the clock (Flink's TumblingProcessingTimeWindows). */
export class TumblingProcessingTimeWindows extends AlignedProcessingTimeWindows {
  private constructor(sizeMs: number, offsetMs: number) {
    super('TumblingProcessingTimeWindows.of', sizeMs, sizeMs, offsetMs)
  }

  /** @throws MillraceError OPTION_INVALID unless both are whole numbers, `sizeMs > 0` and `abs(offsetMs) < sizeMs` */
  static of(sizeMs: number, offsetMs = 0): TumblingProcessingTimeWindows {
    return new TumblingProcessingTimeWindows(sizeMs, offsetMs)
  }
}
