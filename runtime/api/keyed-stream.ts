import type { KeyedProcessFunction, ProcessFunction, ReduceFunction, StateDeclaration, Window } from '../core/index.js'
import { KeyedProcessOperator } from '../operators/keyed-process-operator.js'
import { ReduceOperator } from '../operators/reduce-operator.js'
import type { StreamNode } from '../plan/index.js'
import { maximum, maximumBy, minimum, minimumBy, sumOf } from './aggregations.js'
import { BroadcastStream, KeyedBroadcastConnectedStream } from './broadcast-stream.js'
import { ConnectedStreams, KeyedConnectedStreams } from './connected-streams.js'
import { DataStream, type OperatorSpec } from './data-stream.js'
import { IntervalJoin } from './interval-join.js'
import type { KeySelector } from './key-selector.js'
import { WindowedStream } from './windowed-stream.js'
import {
  CountEvictor,
  CountTrigger,
  type GlobalWindow,
  GlobalWindows,
  type MergingWindowAssigner,
  PurgingTrigger,
  type WindowAssigner,
} from './windowing/index.js'

/** Names of T's fields (or tuple positions) that hold numbers. */
export type NumericField<T> = { [F in keyof T]-?: T[F] extends number ? F : never }[keyof T] &
  (T extends readonly unknown[] ? number | `${number}` : string)

/** A stream partitioned by key (Flink's KeyedStream): its operators have state and timers for each key. */
export class KeyedStream<T, K> extends DataStream<T> {
  /** @internal */
  readonly keySelector: KeySelector<T, K>

  /** @internal */
  constructor(stream: DataStream<T>, keySelector: KeySelector<T, K>) {
    super(stream.env, stream.partition({ kind: 'hash', keySelector }).edges)
    this.keySelector = keySelector
  }

  /** With another keyed stream: one operator with state and timers by key for both. */
  override connect<B>(broadcast: BroadcastStream<B>): KeyedBroadcastConnectedStream<T, K, B>
  override connect<T2>(other: KeyedStream<T2, K>): KeyedConnectedStreams<T, T2, K>
  override connect<T2>(other: DataStream<T2>): ConnectedStreams<T, T2>
  override connect<T2>(other: DataStream<T2> | BroadcastStream<T2>): ConnectedStreams<T, T2> | KeyedBroadcastConnectedStream<T, K, T2> {
    if (other instanceof BroadcastStream) return new KeyedBroadcastConnectedStream(this, other)
    return other instanceof KeyedStream ? new KeyedConnectedStreams<T, T2, K>(this, other) : new ConnectedStreams(this, other)
  }

  /** Pairs with equal keys whose timestamps are within bounds of each other: `a.intervalJoin(b).between(lowerMs, upperMs).process(fn)`. */
  intervalJoin<T2>(other: KeyedStream<T2, K>): IntervalJoin<T, T2, K> {
    return new IntervalJoin(this, other)
  }

  /** Combines each element with the key's value so far and emits the new value. */
  reduce(fn: ((a: T, b: T) => T) | ReduceFunction<T>): DataStream<T> {
    const object = typeof fn === 'function' ? { reduce: fn } : fn
    return this.transform({ kind: 'reduce', name: 'Reduce', create: () => new ReduceOperator<T>(object) })
  }

  /** Running sum of a field; the other fields are those of the key's first element, as in Flink. */
  sum(field: keyof T & NumericField<T>): DataStream<T> {
    return this.reduce(sumOf<T>(field)).name('Sum')
  }
  /** Running minimum of a field; the other fields are those of the key's first element. */
  min(field: keyof T): DataStream<T> {
    return this.reduce(minimum<T>(field)).name('Min')
  }
  max(field: keyof T): DataStream<T> {
    return this.reduce(maximum<T>(field)).name('Max')
  }
  /** The whole element with the least field so far; on a tie the first one, or the last with `first` false. */
  minBy(field: keyof T, first = true): DataStream<T> {
    return this.reduce(minimumBy<T>(field, first)).name('MinBy')
  }
  maxBy(field: keyof T, first = true): DataStream<T> {
    return this.reduce(maximumBy<T>(field, first)).name('MaxBy')
  }

  override process<Out, S extends StateDeclaration = {}>(fn: KeyedProcessFunction<K, T, Out, S>): DataStream<Out>
  override process<Out>(fn: ProcessFunction<T, Out>): DataStream<Out>
  override process<Out>(fn: KeyedProcessFunction<K, T, Out, StateDeclaration> | ProcessFunction<T, Out>): DataStream<Out> {
    return this.transform({
      kind: 'keyed-process',
      name: 'KeyedProcess',
      create: () => new KeyedProcessOperator<K, T, Out>(fn as KeyedProcessFunction<K, T, Out, StateDeclaration>),
    })
  }

  window<W extends Window>(assigner: MergingWindowAssigner<T, W>): WindowedStream<T, K, W, true>
  window<W extends Window>(assigner: WindowAssigner<T, W>): WindowedStream<T, K, W, false>
  window<W extends Window>(assigner: WindowAssigner<T, W>): WindowedStream<T, K, W, boolean> {
    return new WindowedStream<T, K, W, boolean>(this, assigner)
  }

  /** A window for each `size` elements of a key; with `slide`, every `slide` elements the last `size`. An unfinished window never fires. */
  countWindow(size: number, slide?: number): WindowedStream<T, K, GlobalWindow, false> {
    const windows = this.window(GlobalWindows.create())
    if (slide === undefined) return windows.trigger(PurgingTrigger.of(CountTrigger.of(size)))
    return windows.evictor(CountEvictor.of(size)).trigger(CountTrigger.of(slide))
  }

  /** @internal */
  override transform<Out>(spec: OperatorSpec<T, Out>, more: Partial<Pick<StreamNode, 'keySelector' | 'nonParallel'>> = {}): DataStream<Out> {
    return super.transform(spec, { keySelector: this.keySelector, ...more })
  }
}
