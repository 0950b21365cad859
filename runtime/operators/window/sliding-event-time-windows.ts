import { MillraceError } from '../../core/index.js'
import { AlignedEventTimeWindows } from './aligned-window-assigner.js'

const MAX_WINDOWS_PER_ELEMENT = 10_000_000

/** Windows of one size that start every `slideMs` and may overlap or leave gaps, by event time (Flink's SlidingEventTimeWindows). */
export class SlidingEventTimeWindows extends AlignedEventTimeWindows {
  private constructor(sizeMs: number, slideMs: number, offsetMs: number) {
    super('SlidingEventTimeWindows.of', sizeMs, slideMs, offsetMs)
    if (Math.floor(sizeMs / slideMs) > MAX_WINDOWS_PER_ELEMENT) {
      throw new MillraceError('OPTION_INVALID', {
        what: `each element would belong to ${Math.floor(sizeMs / slideMs)} windows; at most ${MAX_WINDOWS_PER_ELEMENT} are possible`,
        where: 'SlidingEventTimeWindows.of',
        todo: 'Choose a longer slide.',
      })
    }
  }

  /** @throws MillraceError OPTION_INVALID unless all are whole numbers, `sizeMs > 0`, `slideMs > 0`, `abs(offsetMs) < slideMs` and `sizeMs / slideMs <= 10^7` */
  static of(sizeMs: number, slideMs: number, offsetMs = 0): SlidingEventTimeWindows {
    return new SlidingEventTimeWindows(sizeMs, slideMs, offsetMs)
  }
}
