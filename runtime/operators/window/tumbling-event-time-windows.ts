import { AlignedEventTimeWindows } from './aligned-window-assigner.js'

/** Windows of one size, side by side, by event time (Flink's TumblingEventTimeWindows). */
export class TumblingEventTimeWindows extends AlignedEventTimeWindows {
  private constructor(sizeMs: number, offsetMs: number) {
    super('TumblingEventTimeWindows.of', sizeMs, sizeMs, offsetMs)
  }

  /**
   * Windows start at multiples of `sizeMs` after the epoch, moved by `offsetMs`: days in China are `of(86_400_000, -28_800_000)`.
   *
   * @throws MillraceError OPTION_INVALID unless both are whole numbers, `sizeMs > 0` and `abs(offsetMs) < sizeMs`
   */
  static of(sizeMs: number, offsetMs = 0): TumblingEventTimeWindows {
    return new TumblingEventTimeWindows(sizeMs, offsetMs)
  }
}
