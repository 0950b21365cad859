import type { ListState, ListStateDescriptor, MapState, MapStateDescriptor } from './state.js'

/**
 * State that belongs to a subtask, not to a key (Flink's OperatorStateStore). The same name gives the same state. Elements are kept as they are at a
 * checkpoint's barrier; what a restore does with them when the parallelism has changed is in the methods' names.
 */
export interface OperatorStateStore {
  /** Each element goes to one subtask: its own at the same parallelism, else they are dealt out in turn. */
  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T>
  /** After a restore every subtask has the elements of all subtasks. */
  getUnionListState<T>(descriptor: ListStateDescriptor<T>): ListState<T>
  /** A map that all subtasks keep alike; each restores its own copy, a new subtask that of another. */
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V>
  /** A list that all subtasks keep alike. */
  getBroadcastListState<T>(descriptor: ListStateDescriptor<T>): ListState<T>
}

/** The operator state of a function at its start (Flink's FunctionInitializationContext). */
export interface FunctionInitializationContext extends OperatorStateStore {
  /** The checkpoint this run was restored from; undefined at a fresh start. */
  readonly restoredCheckpointId: number | undefined
}

/** The operator state of a function at a checkpoint (Flink's FunctionSnapshotContext). */
export interface FunctionSnapshotContext extends OperatorStateStore {
  readonly checkpointId: number
}

/**
 * Operator state of a function object (Flink's CheckpointedFunction). The functions of map, flatMap, filter, process, reduce, of connected and broadcast
 * streams, and asynchronous ones may have these methods; those of windows and window joins are not asked.
 *
 * @example
 * class BufferedLines implements FlatMapFunction<string, string[]>, CheckpointedFunction {
 *   #lines: string[] = []
 *   initializeState(ctx: FunctionInitializationContext) {
 *     this.#lines = [...ctx.getListState(LINES).get()]
 *   }
 *   snapshotState(ctx: FunctionSnapshotContext) {
 *     ctx.getListState(LINES).update(this.#lines)
 *   }
 *   flatMap(line: string, out: Collector<string[]>) {
 *     if (this.#lines.push(line) === 100) out.collect(this.#lines.splice(0))
 *   }
 * }
 * const LINES = new ListStateDescriptor<string>('lines')
 */
export interface CheckpointedFunction {
  /** Once, before `open`: at a fresh start the states are empty. */
  initializeState(context: FunctionInitializationContext): void
  /** At each barrier: the last chance to put into the states what is to be kept. */
  snapshotState(context: FunctionSnapshotContext): void
}
