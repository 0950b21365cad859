import type { Window } from '../../core/index.js'
import type { Trigger } from './trigger.js'

/** What a window assigner may ask for. */
export interface WindowAssignerContext {
  /** Epoch milliseconds. */
  readonly currentProcessingTime: number
}

/** Puts each element into windows (Flink's WindowAssigner). An assigner is stateless but for caches: one serves all keys. */
export abstract class WindowAssigner<in T, W extends Window> {
  /** Whether the windows of this assigner end by event time; then lateness and cleanup follow the watermark. */
  abstract readonly isEventTime: boolean

  /** `true` in the type of a {@link MergingWindowAssigner} only. */
  abstract readonly isMerging: boolean

  /**
   * The windows of an element; `timestamp` is its event time (epoch ms), -Infinity when it has none. The array belongs
   * to the assigner and holds only until the next call; windows are immutable and may be shared.
   *
   * @throws MillraceError TIMESTAMP_MISSING when an event-time assigner meets an element without a timestamp
   */
  abstract assignWindows(element: T, timestamp: number, ctx: WindowAssignerContext): readonly W[]

  /** The trigger used when the job names none. */
  abstract getDefaultTrigger(): Trigger<unknown, W>

  /** A window as plain data, for timers and state in snapshots. */
  abstract windowToData(window: W): unknown

  /** Reads back what `windowToData` returned. */
  abstract windowFromData(data: unknown): W
}

/** Takes one merge: `toBeMerged` (two or more windows) become `mergeResult`. */
export type MergeWindowsCallback<W> = (toBeMerged: readonly W[], mergeResult: W) => void

/** An assigner whose windows of one key grow together, such as sessions (Flink's MergingWindowAssigner). */
export abstract class MergingWindowAssigner<in T, W extends Window> extends WindowAssigner<T, W> {
  readonly isMerging: true = true

  /** Calls `callback` for each group among `windows` that must become one window; a window that stays as it is takes part in no call. */
  abstract mergeWindows(windows: readonly W[], callback: MergeWindowsCallback<W>): void

  /** What `mergeWindows` would make of these two alone, undefined when they stay apart; it may be left out. */
  mergePair?(a: W, b: W): W | undefined
}
