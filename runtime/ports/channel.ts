/** A stage's stream: frames for its subtasks, in shards. */
export interface Channel {
  /** Sends in order; entries that failed are returned for another try (PutRecords fails per entry). */
  send(entries: readonly ChannelEntry[]): Promise<readonly ChannelEntry[]>
}

export interface ChannelEntry {
  /** Index of the receiving subtask. */
  readonly to: number
  readonly bytes: Uint8Array
}
