import type { CommitRecord } from './commit-record.js'

/** What a commit says of a subtask that knows nothing yet, and for which nothing waits. */
export const BLANK_COMMIT = {
  format: 3,
  position: null,
  channels: {},
  inputs: [],
  sweep: null,
  outputs: {},
  origins: {},
  wakeAt: null,
  successors: [],
  deltas: [],
  operatorChanges: null,
  stash: null,
  outbox: null,
  head: null,
  outlook: null,
} as const satisfies Partial<CommitRecord>
