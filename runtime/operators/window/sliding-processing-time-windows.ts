import { AlignedProcessingTimeWindows } from './aligned-window-assigner.js'

/** Windows of one size that start every `slideMs` and may overlap or leave gaps, by the clock (Flink's SlidingProcessingTimeWindows). */
export class SlidingProcessingTimeWindows extends AlignedProcessingTimeWindows {
  private constructor(sizeMs: number, slideMs: number, offsetMs: number) {
    super('SlidingProcessingTimeWindows.of', sizeMs, slideMs, offsetMs)
  }

  /** @throws MillraceError OPTION_INVALID unless all are whole numbers, `sizeMs > 0`, `slideMs > 0` and `abs(offsetMs) < slideMs` */
  static of(sizeMs: number, slideMs: number, offsetMs = 0): SlidingProcessingTimeWindows {
    return new SlidingProcessingTimeWindows(sizeMs, slideMs, offsetMs)
  }
}
