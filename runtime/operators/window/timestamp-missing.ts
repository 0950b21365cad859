import { MillraceError } from '../../core/index.js'

/** The error of an event-time assigner that meets a record without a timestamp. */
export function timestampMissing(assigner: object): MillraceError {
  return new MillraceError('TIMESTAMP_MISSING', {
    what: 'a record has no timestamp',
    where: `${assigner}`,
    todo: "Call the stream's assignTimestampsAndWatermarks before the window, or use a processing-time window.",
  })
}
