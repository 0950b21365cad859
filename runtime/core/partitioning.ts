/** How records find the subtask of the next operator. */
export type PartitionKind = 'forward' | 'rebalance' | 'rescale' | 'shuffle' | 'broadcast' | 'global' | 'hash' | 'custom'

/** How records find the subtasks of the next operator. */
export interface Partitioning {
  readonly kind: PartitionKind
  /** hash and custom: the key of a record. */
  // biome-ignore lint/suspicious/noExplicitAny: of any element type; the API's types keep them apart
  readonly keySelector?: (value: any) => unknown
  /** custom: the subtask for a key. */
  // biome-ignore lint/suspicious/noExplicitAny: of any key type
  readonly partition?: (key: any, subtasks: number) => number
}
