import { MillraceError } from '../../core/index.js'

/** @throws MillraceError OPTION_INVALID unless `value` is a whole number of at least `min` */
export function requireWholeNumber(where: string, option: string, value: number, min: number): void {
  if (Number.isSafeInteger(value) && value >= min) return
  throw new MillraceError('OPTION_INVALID', {
    what: `${option} must be a whole number${Number.isFinite(min) ? ` of at least ${min}` : ''}, got ${value}`,
    where,
  })
}

/** @throws MillraceError OPTION_INVALID unless all three are whole milliseconds, size and slide > 0 and abs(offset) < slide */
export function requireWindowShape(where: string, sizeMs: number, slideMs: number, offsetMs: number): void {
  requireWholeNumber(where, 'the window size in milliseconds', sizeMs, 1)
  requireWholeNumber(where, 'the slide in milliseconds', slideMs, 1)
  requireWholeNumber(where, 'the offset in milliseconds', offsetMs, Number.NEGATIVE_INFINITY)
  if (Math.abs(offsetMs) >= slideMs) {
    throw new MillraceError('OPTION_INVALID', {
      what: `the offset (${offsetMs} ms) must be smaller than ${slideMs} ms, the time from one window to the next`,
      where,
      todo: 'Take the offset modulo that time.',
    })
  }
}
