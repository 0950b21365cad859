import { DEFAULT_BLOCK_BYTES } from '../state/index.js'

/** How a stage's subtasks weigh cost against latency and memory. */
export interface StageSettings {
  /** Parts of a commit above so many bytes stand in a blob of their own, which is cheaper then. */
  readonly inlineBytes: number
  /** Commits after which the whole state becomes a new base, so that a cold start reads no more than these. */
  readonly longestTail: number
  /** Changed bytes of keyed state after which they go into a new base, for the same reason. */
  readonly tailBytes: number
  /** Keyed state of an operator is read whole when a subtask opens, as long as its segments have no more bytes; else by keys, when they are needed. */
  readonly wholeStateBytes: number
  /**
   * What keyed state may take in memory, about: 200 bytes a row, what was loaded, and large values that changed since the subtask was opened. A
   * subtask that takes more is opened again, and holds what it needs from then on.
   */
  readonly stateMemoryBytes: number
  /** Bytes of a block of a segment, about: what a key that is not in memory costs to read. */
  readonly blockBytes: number
  /** Blocks that were read stay in memory up to so many bytes. Smaller segments are read in one go. */
  readonly blockCacheBytes: number
  readonly smallSegmentBytes: number
  /** Segments of a base beyond which neighbours are merged into one: at the next base when they are small, else in a step of its own. */
  readonly mostSegments: number
  readonly mergedAtCutBytes: number
  /**
   * What is merged at a time, in bytes of segments: it takes four times as much memory, or up to ten times where it is mostly timers. Segments of more
   * than half of it are not merged any more, and do not count; `segments-too-large` says that there are more than `mostSegments` of them: a cold key
   * is read from each, and what has been overwritten or removed stays. The remedy is more memory for the function.
   */
  readonly compactionBytes: number
  /** A commit takes no further record or frame beyond so many records (read, or written to other stages), bytes of input or ms. */
  readonly commitRecords: number
  readonly commitBytes: number
  readonly commitMs: number
  /** A frame with more bytes is divided, as far as it has more than one record. */
  readonly frameBytes: number
  /** Timers that fire in one commit at most. */
  readonly sweepTimers: number
  /** How long a log keeps what newer versions have replaced: longer than any instance may live that still reads it. */
  readonly logRetentionMs: number
  /** Memory older than this is not trusted: what it would read may be gone. */
  readonly cacheMaxAgeMs: number
  /** Waiting frames beyond which a checkpoint that they wait for is given up. */
  readonly stashLimitBytes: number
  /** Watermarks without records go to a channel at most so often; 0: at once. */
  readonly watermarkIntervalMs: number
  /** A poke that comes so long after the last commit and finds nothing to do says so in the log, once: from then on ticks leave the subtask alone. */
  readonly settleMs: number
  /** What becomes of a record that a function throws for: the batch fails and comes again, or the record goes to the dead letters. */
  readonly failingRecords: 'fail' | 'dead-letter'
}

export const DEFAULT_STAGE_SETTINGS: StageSettings = {
  inlineBytes: 8 * 1024,
  longestTail: 256,
  tailBytes: 8 * 1024 * 1024,
  wholeStateBytes: 4 * 1024 * 1024,
  stateMemoryBytes: 256 * 1024 * 1024,
  blockBytes: DEFAULT_BLOCK_BYTES,
  blockCacheBytes: 8 * 1024 * 1024,
  smallSegmentBytes: 64 * 1024,
  mostSegments: 8,
  mergedAtCutBytes: 1024 * 1024,
  compactionBytes: 128 * 1024 * 1024,
  commitRecords: 20_000,
  commitBytes: 4 * 1024 * 1024,
  commitMs: 20_000,
  frameBytes: 256 * 1024,
  sweepTimers: 50_000,
  logRetentionMs: 3 * 24 * 3_600_000,
  cacheMaxAgeMs: 30 * 60_000,
  stashLimitBytes: 64 * 1024 * 1024,
  watermarkIntervalMs: 0,
  settleMs: 10 * 60_000,
  failingRecords: 'fail',
}
