import type { ReduceFunction } from './functions.js'
import type { Serde } from './serde.js'
import { checkedTtl, type StateTtlConfig } from './state-ttl.js'

/** Incremental aggregation (Flink's AggregateFunction). `merge` is needed only where windows merge (sessions). */
export interface AggregateFunction<In, Acc, Out> {
  createAccumulator(): Acc
  /** Returns the new accumulator; it may change and return the one given. */
  add(value: In, accumulator: Acc): Acc
  getResult(accumulator: Acc): Out
  merge?(a: Acc, b: Acc): Acc
}

/** An AggregateFunction that merging windows accept. */
export interface MergingAggregateFunction<In, Acc, Out> extends AggregateFunction<In, Acc, Out> {
  merge(a: Acc, b: Acc): Acc
}

/** One value for each key. What `value()` returned must not be changed without `update()`. */
export interface ValueState<T> {
  /** The value, or the descriptor's default, or null. */
  value(): T | null
  /** null clears. */
  update(value: T | null): void
  clear(): void
}

/** A list for each key (Flink's ListState). */
export interface ListState<T> {
  /** The elements in order of arrival; empty when there are none. */
  get(): Iterable<T>
  add(value: T): void
  addAll(values: Iterable<T>): void
  /** Replaces the whole list. */
  update(values: Iterable<T>): void
  clear(): void
}

/** A map for each key (Flink's MapState); each entry is written and expires for itself. */
export interface MapState<K, V> {
  get(key: K): V | undefined
  has(key: K): boolean
  put(key: K, value: V): void
  putAll(entries: Iterable<readonly [K, V]>): void
  remove(key: K): void
  entries(): IterableIterator<[K, V]>
  keys(): IterableIterator<K>
  values(): IterableIterator<V>
  isEmpty(): boolean
  clear(): void
}

/** ReducingState and AggregatingState: elements go in, one result comes out. */
export interface AppendingStateHandle<In, Out> {
  /** The result so far, or null when nothing was added. */
  get(): Out | null
  add(value: In): void
  clear(): void
}

/** The kinds of keyed state. */
export type StateKind = 'value' | 'list' | 'map' | 'reducing' | 'aggregating'

abstract class StateDescriptor {
  abstract readonly kind: StateKind
  /** How long values are kept; undefined: for ever. */
  ttl: StateTtlConfig | undefined

  /** Throws OPTION_INVALID for a time to live that cannot be used. */
  constructor(
    readonly name: string,
    ttl?: StateTtlConfig,
  ) {
    this.ttl = ttl && checkedTtl(ttl, name)
  }

  /** Values expire; the same as the option `ttl`. */
  enableTimeToLive(config: StateTtlConfig): this {
    this.ttl = checkedTtl(config, this.name)
    return this
  }
}

/** Names and types a ValueState. `serde` defaults to the structural one. */
export class ValueStateDescriptor<T> extends StateDescriptor {
  readonly kind = 'value'
  declare readonly type: T
  constructor(
    name: string,
    readonly options: { readonly ttl?: StateTtlConfig; readonly serde?: Serde<T>; readonly defaultValue?: T } = {},
  ) {
    super(name, options.ttl)
  }
}

/** Describes a list for each key, or for each subtask as operator state (Flink's ListStateDescriptor). */
export class ListStateDescriptor<T> extends StateDescriptor {
  readonly kind = 'list'
  declare readonly type: T
  constructor(
    name: string,
    readonly options: { readonly ttl?: StateTtlConfig; readonly serde?: Serde<T> } = {},
  ) {
    super(name, options.ttl)
  }
}

/** Describes a map for each key, or a broadcast state (Flink's MapStateDescriptor). */
export class MapStateDescriptor<K, V> extends StateDescriptor {
  readonly kind = 'map'
  declare readonly type: [K, V]
  constructor(
    name: string,
    readonly options: { readonly ttl?: StateTtlConfig; readonly keySerde?: Serde<K>; readonly serde?: Serde<V> } = {},
  ) {
    super(name, options.ttl)
  }
}

/** Describes state of one value for each key, with which added elements are combined (Flink's ReducingStateDescriptor). */
export class ReducingStateDescriptor<T> extends StateDescriptor {
  readonly kind = 'reducing'
  constructor(
    name: string,
    readonly reduceFunction: ReduceFunction<T>['reduce'],
    readonly options: { readonly ttl?: StateTtlConfig; readonly serde?: Serde<T> } = {},
  ) {
    super(name, options.ttl)
  }
}

/** Describes state of one accumulator for each key, to which elements are added (Flink's AggregatingStateDescriptor). */
export class AggregatingStateDescriptor<In, Acc, Out> extends StateDescriptor {
  readonly kind = 'aggregating'
  constructor(
    name: string,
    readonly aggregateFunction: AggregateFunction<In, Acc, Out>,
    readonly options: { readonly ttl?: StateTtlConfig; readonly serde?: Serde<Acc> } = {},
  ) {
    super(name, options.ttl)
  }
}

/** A descriptor of any kind of keyed state. */
export type AnyStateDescriptor =
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | ValueStateDescriptor<any>
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | ListStateDescriptor<any>
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | MapStateDescriptor<any, any>
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | ReducingStateDescriptor<any>
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | AggregatingStateDescriptor<any, any, any>

/** States declared beside a function: `state: { max: valueState<number>() }`. */
export type StateDeclaration = { readonly [name: string]: AnyStateDescriptor }

/** The handle that a descriptor gives: `ValueState<T>` for a `ValueStateDescriptor<T>`, and so on. */
export type StateHandleOf<D> =
  D extends ValueStateDescriptor<infer T>
    ? ValueState<T>
    : D extends ListStateDescriptor<infer T>
      ? ListState<T>
      : D extends MapStateDescriptor<infer K, infer V>
        ? MapState<K, V>
        : D extends ReducingStateDescriptor<infer T>
          ? AppendingStateHandle<T, T>
          : D extends AggregatingStateDescriptor<infer In, infer _Acc, infer Out>
            ? AppendingStateHandle<In, Out>
            : never

/** The handles of a function's declared state (`ctx.state`), by the names it declared them under. */
export type StateHandles<S extends StateDeclaration> = { readonly [N in keyof S]: StateHandleOf<S[N]> }

/** A descriptor of value state; without `name` it takes the name under which the function declares it. */
export function valueState<T>(
  options: { readonly ttl?: StateTtlConfig; readonly name?: string; readonly serde?: Serde<T>; readonly defaultValue?: T } = {},
): ValueStateDescriptor<T> {
  return new ValueStateDescriptor(options.name ?? '', options)
}
/** A descriptor of list state; without `name` it takes the name under which the function declares it. */
export function listState<T>(
  options: { readonly ttl?: StateTtlConfig; readonly name?: string; readonly serde?: Serde<T> } = {},
): ListStateDescriptor<T> {
  return new ListStateDescriptor(options.name ?? '', options)
}
/** A descriptor of map state; without `name` it takes the name under which the function declares it. */
export function mapState<K, V>(
  options: { readonly ttl?: StateTtlConfig; readonly name?: string; readonly keySerde?: Serde<K>; readonly serde?: Serde<V> } = {},
): MapStateDescriptor<K, V> {
  return new MapStateDescriptor(options.name ?? '', options)
}
/** A descriptor of reducing state; without `name` it takes the name under which the function declares it. */
export function reducingState<T>(
  reduce: (a: T, b: T) => T,
  options: { readonly ttl?: StateTtlConfig; readonly name?: string; readonly serde?: Serde<T> } = {},
): ReducingStateDescriptor<T> {
  return new ReducingStateDescriptor(options.name ?? '', reduce, options)
}
/** A descriptor of aggregating state; without `name` it takes the name under which the function declares it. */
export function aggregatingState<In, Acc, Out>(
  aggregate: AggregateFunction<In, Acc, Out>,
  options: { readonly ttl?: StateTtlConfig; readonly name?: string; readonly serde?: Serde<Acc> } = {},
): AggregatingStateDescriptor<In, Acc, Out> {
  return new AggregatingStateDescriptor(options.name ?? '', aggregate, options)
}
