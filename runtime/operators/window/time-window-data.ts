import { MillraceError, TimeWindow } from '../../core/index.js'

/** A TimeWindow as plain data: `[start, end]`, epoch ms. */
export function timeWindowToData(window: TimeWindow): readonly [number, number] {
  return [window.start, window.end]
}

/** @throws MillraceError CHECKPOINT_CORRUPT when `data` is not what {@link timeWindowToData} returned */
export function timeWindowFromData(data: unknown): TimeWindow {
  if (Array.isArray(data) && data.length === 2 && Number.isFinite(data[0]) && Number.isFinite(data[1])) return new TimeWindow(data[0], data[1])
  throw new MillraceError('CHECKPOINT_CORRUPT', {
    what: `a time window was expected, found ${JSON.stringify(data)}`,
    todo: 'Restore from another checkpoint. If the window assigner was changed, give the operator a new uid.',
  })
}
