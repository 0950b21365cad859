/** One subtask's append-only log: version v is written once, by whoever comes first. */
export interface CommitLog {
  /** Items with version greater than `after`, in order, from a strongly consistent read of every page. */
  read(subtask: string, after: number): Promise<LogItem[]>
  /** `won`: the item is now version `item.version`. `lost`: another writer was first. */
  append(subtask: string, item: LogItem): Promise<'won' | 'lost'>
}

export interface LogItem {
  readonly version: number
  readonly payload: Uint8Array
}
