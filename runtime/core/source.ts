import type { ExternalResource } from './external-resource.js'
import type { RuntimeContext } from './functions.js'

/**
 * A source of records as splits and readers (Flink's Source, FLIP-27). The enumerator runs once in the coordinator and
 * hands out splits; each subtask has a reader. A split is plain data: a reader's snapshot is its splits with their
 * positions, so any subtask can go on with any split, at any parallelism.
 */
export interface Source<T, Split extends SourceSplit = SourceSplit, EnumState = unknown> {
  /** For the default uid and name, e.g. `file-source`. */
  readonly name: string
  readonly boundedness: 'bounded' | 'unbounded'
  /** What it reads, by logical names; the enumerator's and the readers' contexts say what they are called. */
  readonly resources?: readonly ExternalResource[]
  createEnumerator(context: EnumeratorContext<Split>, restored: EnumState | undefined): SplitEnumerator<Split, EnumState>
  createReader(context: ReaderContext): SourceReader<T, Split>
}

/** A part of a source that one reader reads: plain data, with the position to go on from. */
export interface SourceSplit {
  readonly splitId: string
}

/** How a split enumerator reaches the readers (Flink's SplitEnumeratorContext). */
export interface EnumeratorContext<Split> {
  readonly parallelism: number
  /** What the external resource with this logical name is called here. */
  physicalName(name: string): string
  /** Which of the subtasks have a reader that asked for splits. */
  assignSplit(subtask: number, split: Split): void
  signalNoMoreSplits(subtask: number): void
  /** Runs `discover` every `intervalMs` until the enumerator is closed; a rejection fails the job. */
  schedule(intervalMs: number, discover: () => void | Promise<void>): void
  /** Fails the job. */
  fail(error: unknown): void
}

/** Finds the splits of a source and hands them to its readers (Flink's SplitEnumerator); one for each source, in the coordinator. */
export interface SplitEnumerator<Split, EnumState> {
  /** First call. Discovery may be asynchronous; splits may be assigned at any time from here. */
  start(): void | Promise<void>
  /** A reader has nothing left to read. */
  handleSplitRequest(subtask: number): void
  /** What a reader sent with {@link ReaderContext.sendSourceEvent}. */
  handleSourceEvent?(subtask: number, event: unknown): void
  /** Splits of a restored checkpoint (with their positions), to be assigned before new ones. Called before `start`. */
  addSplitsBack(splits: readonly Split[]): void
  /** Plain data; holds what is discovered and not yet assigned. */
  snapshotState(): EnumState
  close(): void | Promise<void>
}

/** What a reader may use of the outside: time, and its place in the job. */
export interface ReaderContext {
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly runtime: RuntimeContext
  /** Processing time, epoch milliseconds. */
  now(): number
  /** Asks the enumerator for a split; the answer is `addSplits` or `notifyNoMoreSplits`. */
  requestSplit(): void
  /** Tells the enumerator something (Flink's SourceEvent): plain data, in the order of calls. */
  sendSourceEvent(event: unknown): void
}

/** `more`: call again at once. `waiting`: call again after `available()` resolves. `end`: no record will ever come. */
export type ReadStatus = 'more' | 'waiting' | 'end'

/** Where a source reader puts its records (Flink's ReaderOutput). */
export interface ReaderOutput<T> {
  /** `timestamp` in epoch ms when the outside system has one. `splitId` keeps watermarks apart by split. */
  collect(value: T, timestamp?: number, splitId?: string): void
  /** The split is finished: it no longer holds back the watermark. */
  releaseSplit(splitId: string): void
}

/** Reads one subtask's splits. All calls come from one thread, one at a time. */
export interface SourceReader<T, Split> {
  start(): void
  /** Emits some records (a few hundred at most) without waiting for anything. */
  pollNext(out: ReaderOutput<T>): ReadStatus
  /** Resolves when `pollNext` may have something new; rejects when the source has failed. */
  available(): Promise<void>
  /**
   * For a reader whose next record is brought by time alone. Asked after `waiting`: in how many ms (fractions count) `pollNext` is to
   * be called again, to a tenth of a millisecond or so; `available()` is then not asked. undefined: `available()` tells. The thread
   * itself sleeps for what is due within a millisecond, so that I/O of the same thread is looked at only every few milliseconds.
   */
  dueInMs?(): number | undefined
  addSplits(splits: readonly Split[]): void
  notifyNoMoreSplits(): void
  /** The splits still to be read, with their positions: everything emitted before this call is before the positions. */
  snapshotState(): Split[]
  notifyCheckpointComplete?(checkpointId: number): void
  close(): void | Promise<void>
}
