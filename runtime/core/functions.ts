import type { AccumulatorRegistry } from './accumulators.js'
import type { CheckpointedFunction } from './checkpointed-function.js'
import type { OutputTag } from './output-tag.js'
import type {
  AggregateFunction,
  AggregatingStateDescriptor,
  AppendingStateHandle,
  ListState,
  ListStateDescriptor,
  MapState,
  MapStateDescriptor,
  ReducingStateDescriptor,
  StateDeclaration,
  StateHandles,
  ValueState,
  ValueStateDescriptor,
} from './state.js'
import type { Window } from './windows.js'

/** Takes the results of a function (Flink's Collector). */
export interface Collector<T> {
  collect(value: T): void
}

/** A count that a function keeps; the job's metrics add it up over subtasks. */
export interface Counter {
  inc(n?: number): void
  readonly count: number
}

/** Where a function registers its metrics; they are kept apart by operator and subtask. */
export interface MetricGroup {
  counter(name: string): Counter
  /** `read` is called whenever metrics are collected. */
  gauge(name: string, read: () => number): void
}

/** `--key value` parameters of the job, with typed access (Flink's ParameterTool). */
export interface JobParameters {
  has(name: string): boolean
  get(name: string): string | undefined
  get(name: string, fallback: string): string
  getRequired(name: string): string
  getNumber(name: string): number | undefined
  getNumber(name: string, fallback: number): number
  getBoolean(name: string, fallback?: boolean): boolean
  toRecord(): Readonly<Record<string, string>>
}

/** What a rich function can ask of the engine (Flink's RuntimeContext). Keyed state is open to functions on keyed streams only. */
export interface RuntimeContext extends AccumulatorRegistry {
  readonly jobName: string
  readonly operatorName: string
  readonly uid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly maxParallelism: number
  /** 0 for the first run, one more after each restart. */
  readonly attemptNumber: number
  readonly parameters: JobParameters
  readonly metrics: MetricGroup
  /** What the external resource (a stream, table or bucket) with this logical name is called here: its binding, or the name itself. */
  physicalName(name: string): string
  getState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T>
  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T>
  getMapState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V>
  getReducingState<T>(descriptor: ReducingStateDescriptor<T>): AppendingStateHandle<T, T>
  getAggregatingState<In, Acc, Out>(descriptor: AggregatingStateDescriptor<In, Acc, Out>): AppendingStateHandle<In, Out>
}

/** Lifecycle that any function object may have (Flink's RichFunction), and operator state ({@link CheckpointedFunction}). */
export interface RichFunction extends Partial<CheckpointedFunction> {
  /** Called once per subtask before the first element. */
  open?(context: RuntimeContext): void
  /** Called once per subtask after the last element, or when the job fails. */
  close?(): void
}

/** Base of rich functions: gives `this.runtimeContext` after `open`. Call `super.open(context)` when you override it. */
export abstract class AbstractRichFunction implements RichFunction {
  #context: RuntimeContext | undefined

  open(context: RuntimeContext): void {
    this.#context = context
  }

  close(): void {}

  /** Throws before `open`. */
  getRuntimeContext(): RuntimeContext {
    if (this.#context === undefined)
      throw new Error('getRuntimeContext() is available from open() on; an overridden open() must call super.open(context)')
    return this.#context
  }
}

/** One result for each element. */
export interface MapFunction<In, Out> extends RichFunction {
  map(value: In): Out
}
/** Any number of results for each element. */
export interface FlatMapFunction<In, Out> extends RichFunction {
  flatMap(value: In, out: Collector<Out>): void
}
/** Keeps the elements for which it says true. */
export interface FilterFunction<T> extends RichFunction {
  filter(value: T): boolean
}
/** Combines two elements into one of the same type; it must be associative. */
export interface ReduceFunction<T> extends RichFunction {
  reduce(a: T, b: T): T
}

/** A {@link MapFunction} as a class with open, close and the runtime context. */
export abstract class RichMapFunction<In, Out> extends AbstractRichFunction implements MapFunction<In, Out> {
  abstract map(value: In): Out
}
/** A {@link FlatMapFunction} as a class with open, close and the runtime context. */
export abstract class RichFlatMapFunction<In, Out> extends AbstractRichFunction implements FlatMapFunction<In, Out> {
  abstract flatMap(value: In, out: Collector<Out>): void
}
/** A {@link FilterFunction} as a class with open, close and the runtime context. */
export abstract class RichFilterFunction<T> extends AbstractRichFunction implements FilterFunction<T> {
  abstract filter(value: T): boolean
}

/** Time, as a function sees it. */
export interface TimerService {
  /** Processing time, epoch milliseconds. */
  currentProcessingTime(): number
  /** Event time: -Infinity before the first watermark, Infinity after the last. */
  currentWatermark(): number
  /** Fires `onTimer` for the current key once the watermark reaches `time` (epoch ms). The same key and time fire once. */
  registerEventTimeTimer(time: number): void
  registerProcessingTimeTimer(time: number): void
  deleteEventTimeTimer(time: number): void
  deleteProcessingTimeTimer(time: number): void
}

/** What `processElement` may ask for: the element's timestamp, the time, side outputs. */
export interface ProcessContext {
  /** The record's event timestamp (epoch ms), or null when it has none. */
  readonly timestamp: number | null
  readonly timerService: TimerService
  /** Sends `value` to a side output, with the record's timestamp. */
  output<X>(tag: OutputTag<X>, value: X): void
}

/** A function on a stream without keys (Flink's ProcessFunction). */
export interface ProcessFunction<In, Out> extends RichFunction {
  processElement(value: In, ctx: ProcessContext, out: Collector<Out>): void
}

/** What `processElement` of a keyed function may ask for: the key, its state and its timers. */
export interface KeyedContext<K, S extends StateDeclaration = {}> extends ProcessContext {
  readonly currentKey: K
  /** Handles of the states declared in the function's `state`, for the current key. */
  readonly state: StateHandles<S>
}

/** What `onTimer` may ask for: the timer's time and domain, besides the key, its state and its timers. */
export interface OnTimerContext<K, S extends StateDeclaration = {}> extends KeyedContext<K, S> {
  readonly timeDomain: 'event-time' | 'processing-time'
}

/**
 * A function on a keyed stream with state and timers (Flink's KeyedProcessFunction).
 *
 * @example
 * logins.keyBy(l => l.user).process({
 *   state: { failures: valueState<number>() },
 *   processElement(login, ctx, out: Collector<string>) {
 *     const failures = (ctx.state.failures.value() ?? 0) + 1
 *     ctx.state.failures.update(failures)
 *     if (failures === 3) out.collect(login.user)
 *   },
 * })
 */
export interface KeyedProcessFunction<K, In, Out, S extends StateDeclaration = {}> extends RichFunction {
  /** States by name; a descriptor without a name takes the property's. */
  readonly state?: S
  processElement(value: In, ctx: KeyedContext<K, S>, out: Collector<Out>): void
  onTimer?(timestamp: number, ctx: OnTimerContext<K, S>, out: Collector<Out>): void
}

/** State of a window, or of its key across windows, inside a ProcessWindowFunction. */
export interface WindowStateStore {
  getState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T>
  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T>
  getMapState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V>
  getReducingState<T>(descriptor: ReducingStateDescriptor<T>): AppendingStateHandle<T, T>
  getAggregatingState<In, Acc, Out>(descriptor: AggregatingStateDescriptor<In, Acc, Out>): AppendingStateHandle<In, Out>
}

/** What a process window function may ask for: the window, its state, the time, side outputs. */
export interface WindowContext<W extends Window> {
  readonly window: W
  readonly currentWatermark: number
  readonly currentProcessingTime: number
  /** State of this key and window; clear it in `clear`. Not available for merging windows. */
  readonly windowState: WindowStateStore
  /** State of this key, shared by all its windows. */
  readonly globalState: WindowStateStore
  output<X>(tag: OutputTag<X>, value: X): void
}

/** Computes a window's results from all its elements, or from the one pre-aggregated value (Flink's ProcessWindowFunction). */
export interface ProcessWindowFunction<In, Out, K, W extends Window> extends RichFunction {
  process(key: K, ctx: WindowContext<W>, elements: Iterable<In>, out: Collector<Out>): void
  /** Called when the window is dropped; clear per-window state here. */
  clear?(ctx: WindowContext<W>): void
}

/** The same for windowAll (Flink's ProcessAllWindowFunction). */
export interface ProcessAllWindowFunction<In, Out, W extends Window> extends RichFunction {
  process(ctx: WindowContext<W>, elements: Iterable<In>, out: Collector<Out>): void
  clear?(ctx: WindowContext<W>): void
}

export type { AggregateFunction }
