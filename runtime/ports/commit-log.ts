/**
 * Append-only logs: version v of a log is written once, by whoever comes first. Beside its items a log has one control item, which is replaced
 * as a whole. On AWS a log is a partition of a DynamoDB table, so one query reads both.
 */
export interface CommitLog {
  /** Items with a version greater than `after`, in order, and the control item: one strongly consistent read of every page. */
  read(log: string, after: number): Promise<LogRead>
  /** The newest item, without reading the others, and the control item; strongly consistent. */
  head(log: string): Promise<LogHead>
  /**
   * `won`: the item is now version `item.version`. `lost`: another writer was first. A call that fails may have been done, and a writer that
   * calls again then loses to itself.
   */
  append(log: string, item: LogItem): Promise<Outcome>
  /** Replaces the control item if its serial is lower than this one's (or there is none). */
  putControl(log: string, control: ControlItem): Promise<Outcome>
}

export type Outcome = 'won' | 'lost'

export interface LogItem {
  /** From 1. */
  readonly version: number
  readonly payload: Uint8Array
  /** Epoch ms; the store may drop the item at any time after it. Absent: kept. */
  readonly expiresAtMs?: number
}

export interface ControlItem {
  readonly serial: number
  readonly payload: Uint8Array
  /** As of a {@link LogItem}; written, and not read back. */
  readonly expiresAtMs?: number
}

export interface LogRead {
  readonly items: readonly LogItem[]
  readonly control: ControlItem | undefined
}

export interface LogHead {
  readonly item: LogItem | undefined
  readonly control: ControlItem | undefined
}
