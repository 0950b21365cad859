/** Flink's Long.MIN_VALUE as a watermark: nothing is known of event time yet. */
export const MIN_WATERMARK = Number.NEGATIVE_INFINITY

/** Flink's Long.MAX_VALUE as a watermark: the end of event time; every event-time timer fires. */
export const MAX_WATERMARK = Number.POSITIVE_INFINITY

/** The timestamp of a record that has none. Windows refuse such a record; `ctx.timestamp` shows it as `null`. */
export const NO_TIMESTAMP = Number.NEGATIVE_INFINITY
