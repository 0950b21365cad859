import type { CoGroupFunction, Collector, FlatJoinFunction, KeyTypes, RichFunction, Window } from '../core/index.js'
import { CoWindowOperator, type TaggedUnion } from '../operators/co-window-operator.js'
import type { Evictor, Trigger, WindowAssigner } from '../operators/window/index.js'
import { allPairs, coGroupComputation, type JoinLike } from './co-window-functions.js'
import type { DataStream } from './data-stream.js'
import { type FieldKey, type KeySelector, keySelectorOf } from './key-selector.js'
import { type WindowSpec, windowOperatorFactory, windowSpec } from './window-spec.js'

type PairKind = 'join' | 'coGroup'

/** What `window(...)` gives: a join emits for each pair, a coGroup once for each key and window. */
type WindowedPair<P extends PairKind, T1, T2, W extends Window> = P extends 'join' ? JoinedWindows<T1, T2, W> : CoGroupedWindows<T1, T2, W>

interface KeyedPair<T1, T2> {
  readonly first: DataStream<T1>
  readonly second: DataStream<T2>
  readonly keySelector: KeySelector<T1, unknown>
  readonly keySelector2: KeySelector<T2, unknown>
}

/**
 * Two streams to be joined by key and window (Flink's JoinedStreams and CoGroupedStreams).
 *
 * @example
 * persons.join(auctions)
 *   .where((p) => p.id)
 *   .equalTo((a) => a.seller)
 *   .window(TumblingEventTimeWindows.of(10_000))
 *   .apply((person, auction) => `${person.name} sells ${auction.item}`)
 */
export class PairedStreams<P extends PairKind, T1, T2> {
  /** @internal */
  constructor(
    /** @internal */ readonly kind: P,
    /** @internal */ readonly first: DataStream<T1>,
    /** @internal */ readonly second: DataStream<T2>,
  ) {}

  /** The key of the first stream's elements. `keyTypes`, of both streams' keys: as of {@link DataStream.keyBy}. */
  where<const K>(selector: KeySelector<T1, K>, keyTypes?: KeyTypes): PairedWhere<P, T1, T2, K>
  where<F extends FieldKey<T1>>(field: F, keyTypes?: KeyTypes): PairedWhere<P, T1, T2, T1[F]>
  where(selector: KeySelector<T1, unknown> | PropertyKey, keyTypes?: KeyTypes): PairedWhere<P, T1, T2, never> {
    return new PairedWhere(this, keySelectorOf(selector, keyTypes), keyTypes) as never
  }
}

/** With the first stream's key. */
export class PairedWhere<P extends PairKind, T1, T2, K> {
  /** @internal */
  constructor(
    /** @internal */ readonly streams: PairedStreams<P, T1, T2>,
    /** @internal */ readonly keySelector: KeySelector<T1, K>,
    /** @internal */ readonly keyTypes: KeyTypes | undefined,
  ) {}

  /** The key of the second stream's elements. */
  equalTo(selector: KeySelector<T2, K>): PairedEqualTo<P, T1, T2>
  equalTo<F extends FieldKey<T2>>(field: T2[F] extends K ? F : never): PairedEqualTo<P, T1, T2>
  equalTo(selector: KeySelector<T2, K> | PropertyKey): PairedEqualTo<P, T1, T2> {
    const { kind, first, second } = this.streams
    return new PairedEqualTo(kind, { first, second, keySelector: this.keySelector, keySelector2: keySelectorOf(selector, this.keyTypes) })
  }
}

/** With the keys of both streams. */
export class PairedEqualTo<P extends PairKind, T1, T2> {
  /** @internal */
  constructor(
    /** @internal */ readonly kind: P,
    /** @internal */ readonly pair: KeyedPair<T1, T2>,
  ) {}

  /** Results have the timestamp of the window's end - 1. */
  window<W extends Window>(assigner: WindowAssigner<TaggedUnion<T1, T2>, W>): WindowedPair<P, T1, T2, W> {
    const spec = windowSpec(assigner)
    return (this.kind === 'join' ? new JoinedWindows(this.pair, spec) : new CoGroupedWindows(this.pair, spec)) as WindowedPair<P, T1, T2, W>
  }
}

abstract class PairedWindows<T1, T2, W extends Window> {
  /** @internal */
  constructor(
    /** @internal */ readonly pair: KeyedPair<T1, T2>,
    /** @internal */ readonly spec: WindowSpec<TaggedUnion<T1, T2>, W>,
  ) {}

  protected abstract with(change: Partial<WindowSpec<TaggedUnion<T1, T2>, W>>): this

  /** Replaces the assigner's default trigger. */
  trigger(trigger: Trigger<TaggedUnion<T1, T2>, W>): this {
    return this.with({ trigger })
  }
  /** Removes some elements, of either side, before or after the function is called. */
  evictor(evictor: Evictor<TaggedUnion<T1, T2>, W>): this {
    return this.with({ evictor })
  }
  /** How long after the window's end (ms of event time) late elements still fire it again. */
  allowedLateness(allowedLatenessMs: number): this {
    return this.with({ allowedLatenessMs })
  }

  protected applyTo<Out>(kind: string, name: string, fn: CoGroupFunction<T1, T2, Out>): DataStream<Out> {
    const { first, second, keySelector, keySelector2 } = this.pair
    const windows = windowOperatorFactory(this.spec, coGroupComputation<T1, T2, Out, W>(fn))
    const create = () => new CoWindowOperator<T1, T2, Out>(windows())
    return first
      .partition({ kind: 'hash', keySelector })
      .transformWith(
        second.partition({ kind: 'hash', keySelector: keySelector2 }),
        { kind, name: `${name}(${this.spec.assigner.constructor.name})`, create },
        { keySelector, keySelector2 },
      )
  }
}

/** The third parameter is for the type checker: a function that names one is refused here, but its first two have types. */
type Returning<T1, T2, Out> = (first: T1, second: T2, collector: unknown) => Out

/** A window join: all pairs of elements with equal keys in one window (Flink's JoinedStreams.WithWindow). */
export class JoinedWindows<T1, T2, W extends Window> extends PairedWindows<T1, T2, W> {
  protected with(change: Partial<WindowSpec<TaggedUnion<T1, T2>, W>>): this {
    return new JoinedWindows(this.pair, { ...this.spec, ...change }) as this
  }

  /** The function returns its one result, or names a third parameter and collects any number there. */
  apply<Out>(fn: Returning<T1, T2, Out> | (RichFunction & { readonly join: Returning<T1, T2, Out> })): DataStream<Out>
  apply<Out>(fn: ((first: T1, second: T2, out: Collector<Out>) => void) | FlatJoinFunction<T1, T2, Out>): DataStream<Out>
  apply<Out>(fn: unknown): DataStream<Out> {
    return this.applyTo('window-join', 'Join', allPairs(fn as JoinLike<T1, T2, Out>))
  }
}

/** The elements of both sides for each key and window (Flink's CoGroupedStreams.WithWindow). */
export class CoGroupedWindows<T1, T2, W extends Window> extends PairedWindows<T1, T2, W> {
  protected with(change: Partial<WindowSpec<TaggedUnion<T1, T2>, W>>): this {
    return new CoGroupedWindows(this.pair, { ...this.spec, ...change }) as this
  }

  apply<Out>(fn: CoGroupFunction<T1, T2, Out>['coGroup'] | CoGroupFunction<T1, T2, Out>): DataStream<Out> {
    return this.applyTo('co-group', 'CoGroup', typeof fn === 'function' ? { coGroup: fn } : fn)
  }
}
