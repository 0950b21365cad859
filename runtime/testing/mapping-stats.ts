/** How often each thing has happened to an {@link EventSourceMapping}. */
export interface MappingStats {
  /** Invocations begun. */
  readonly deliveries: number
  /** Batches acknowledged whole, and those of which a part was. */
  readonly acknowledged: number
  readonly partial: number
  /** Batches, or rests of batches, that failed: the function rejected or reported their first record, it timed out, or its answer was lost. */
  readonly failed: number
  /** Failed batches that were cut in halves. */
  readonly bisected: number
  /** Invocations that the mapping gave up, by `timeoutMs` or by the fault. */
  readonly timedOut: number
  /** Of those: by the fault. */
  readonly gaveUpEarly: number
  readonly duplicated: number
  /** Retries with other boundaries, by the fault. */
  readonly splitRetries: number
  readonly lostAnswers: number
  readonly wentBack: number
  /** Batches that waited for the batching window to end. */
  readonly windowsWaited: number
  readonly shardsFound: number
  /** Read to their end and acknowledged. */
  readonly shardsEnded: number
  /** No longer listed before they were read to their end. */
  readonly shardsExpired: number
}

/** The same, to count with. */
export type MappingCounts = { -readonly [Name in keyof MappingStats]: number }

export function noMappingCounts(): MappingCounts {
  return {
    deliveries: 0,
    acknowledged: 0,
    partial: 0,
    failed: 0,
    bisected: 0,
    timedOut: 0,
    gaveUpEarly: 0,
    duplicated: 0,
    splitRetries: 0,
    lostAnswers: 0,
    wentBack: 0,
    windowsWaited: 0,
    shardsFound: 0,
    shardsEnded: 0,
    shardsExpired: 0,
  }
}
