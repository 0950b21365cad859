import type { Collector, KeyedContext, OnTimerContext, ProcessContext, RichFunction } from './functions.js'
import type { OutputTag } from './output-tag.js'
import type { AnyStateDescriptor, MapState, MapStateDescriptor, StateDeclaration, StateHandleOf } from './state.js'

/**
 * Broadcast state as the side that is not broadcast sees it (Flink's ReadOnlyBroadcastState). Values must not be changed either: the
 * state stays equal in all subtasks only if the broadcast side alone changes it.
 */
export type ReadOnlyBroadcastState<K, V> = Pick<MapState<K, V>, 'get' | 'has' | 'entries' | 'keys' | 'values' | 'isEmpty'>

/** The same map in every subtask (Flink's BroadcastState): each subtask gets every broadcast element and must change it alike. */
export type BroadcastState<K, V> = MapState<K, V>

/** What `processElement` of a BroadcastProcessFunction sees. */
export interface BroadcastReadOnlyContext extends ProcessContext {
  /** Throws STATE_DESCRIPTOR for a descriptor that was not given to `broadcast(...)`. */
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): ReadOnlyBroadcastState<K, V>
}

/** What `processBroadcastElement` sees. */
export interface BroadcastContext {
  /** The broadcast element's event timestamp (epoch ms), or null when it has none. */
  readonly timestamp: number | null
  currentProcessingTime(): number
  currentWatermark(): number
  /** Throws STATE_DESCRIPTOR for a descriptor that was not given to `broadcast(...)`. */
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): BroadcastState<K, V>
  /** Sends `value` to a side output, with the broadcast element's timestamp. */
  output<X>(tag: OutputTag<X>, value: X): void
}

/** A stream without keys beside a broadcast one (Flink's BroadcastProcessFunction). */
export interface BroadcastProcessFunction<In, Broadcast, Out> extends RichFunction {
  processElement(value: In, ctx: BroadcastReadOnlyContext, out: Collector<Out>): void
  processBroadcastElement(value: Broadcast, ctx: BroadcastContext, out: Collector<Out>): void
}

/** What `processElement` of a keyed broadcast function may ask for: broadcast state for reading only. */
export interface KeyedBroadcastReadOnlyContext<K, S extends StateDeclaration = {}> extends KeyedContext<K, S>, BroadcastReadOnlyContext {}

/** What `onTimer` of a keyed broadcast function may ask for: broadcast state for reading only. */
export interface KeyedBroadcastOnTimerContext<K, S extends StateDeclaration = {}> extends OnTimerContext<K, S>, BroadcastReadOnlyContext {}

/** What `processBroadcastElement` of a keyed function may ask for; besides, it may visit the state of every key. */
export interface KeyedBroadcastContext<K> extends BroadcastContext {
  /**
   * Calls `fn` for each key of this subtask that has something in the state, with that key's handle. The descriptor is one of the function's
   * `state`, or one with a name.
   */
  applyToKeyedState<D extends AnyStateDescriptor>(descriptor: D, fn: (key: K, state: StateHandleOf<D>) => void): void
}

/**
 * A keyed stream, with state and timers, beside a broadcast one (Flink's KeyedBroadcastProcessFunction). Keyed state is for the keyed side
 * only: a broadcast element has no key.
 *
 * @example
 * const rules = mapState<string, number>({ name: 'rules' })
 * readings.keyBy((r) => r.sensor).connect(limits.broadcast(rules)).process({
 *   processElement(reading, ctx, out: Collector<string>) {
 *     const limit = ctx.getBroadcastState(rules).get(reading.kind)
 *     if (limit !== undefined && reading.value > limit) out.collect(`${ctx.currentKey}: ${reading.value}`)
 *   },
 *   processBroadcastElement(limit, ctx) {
 *     ctx.getBroadcastState(rules).put(limit.kind, limit.most)
 *   },
 * })
 */
export interface KeyedBroadcastProcessFunction<K, In, Broadcast, Out, S extends StateDeclaration = {}> extends RichFunction {
  /** Keyed states by name; a descriptor without a name takes the property's. */
  readonly state?: S
  processElement(value: In, ctx: KeyedBroadcastReadOnlyContext<K, S>, out: Collector<Out>): void
  processBroadcastElement(value: Broadcast, ctx: KeyedBroadcastContext<K>, out: Collector<Out>): void
  onTimer?(timestamp: number, ctx: KeyedBroadcastOnTimerContext<K, S>, out: Collector<Out>): void
}
