import type {
  CoFlatMapFunction,
  CoMapFunction,
  CoProcessFunction,
  KeyedCoProcessFunction,
  KeyTypes,
  RichFunction,
  StateDeclaration,
} from '../core/index.js'
import { CoFlatMapOperator } from '../operators/co-flat-map-operator.js'
import { CoKeyedProcessOperator } from '../operators/co-keyed-process-operator.js'
import { CoMapOperator } from '../operators/co-map-operator.js'
import { CoProcessOperator } from '../operators/co-process-operator.js'
import type { DataStream, TwoInputSpec } from './data-stream.js'
import { type FieldKey, type KeySelector, keySelectorOf } from './key-selector.js'
import type { KeyedStream } from './keyed-stream.js'

/**
 * Two streams of different types into one operator (Flink's ConnectedStreams). The order of their elements among each other is not defined;
 * the operator's watermark is the lesser of theirs.
 *
 * @example
 * const messages = readings.connect(alarms).map({
 *   map1: (reading) => `${reading.sensor}: ${reading.value}`,
 *   map2: (alarm) => alarm.text,
 * }) // DataStream<string>
 */
export class ConnectedStreams<T1, T2> {
  /** @internal */
  constructor(
    /** @internal */ readonly first: DataStream<T1>,
    /** @internal */ readonly second: DataStream<T2>,
  ) {}

  /**
   * Elements of both streams with equal keys go to the same subtask and share state and timers. Keys by functions, or by field names. `keyTypes`: as of
   * {@link DataStream.keyBy}.
   */
  keyBy<const K>(first: KeySelector<T1, K>, second: KeySelector<T2, K>, keyTypes?: KeyTypes): KeyedConnectedStreams<T1, T2, K>
  keyBy<F1 extends FieldKey<T1>, F2 extends FieldKey<T2>>(first: F1, second: F2, keyTypes?: KeyTypes): KeyedConnectedStreams<T1, T2, T1[F1] | T2[F2]>
  keyBy(
    first: KeySelector<T1, unknown> | PropertyKey,
    second: KeySelector<T2, unknown> | PropertyKey,
    keyTypes?: KeyTypes,
  ): KeyedConnectedStreams<T1, T2, never> {
    const { env } = this.first
    const keyed = [env.keyed(this.first, keySelectorOf(first, keyTypes)), env.keyed(this.second, keySelectorOf(second, keyTypes))] as const
    return new KeyedConnectedStreams(...keyed) as never
  }

  /** One result for each element: `map1` for the first stream's, `map2` for the second's. */
  map<Out1, Out2>(fn: { map1(value: T1): Out1; map2(value: T2): Out2 } & RichFunction): DataStream<Out1 | Out2> {
    const object: CoMapFunction<T1, T2, Out1 | Out2> = fn
    return this.transform({ kind: 'co-map', name: 'CoMap', create: () => new CoMapOperator<T1, T2, Out1 | Out2>(object) })
  }

  /** Any number of results for each element. */
  flatMap<Out>(fn: CoFlatMapFunction<T1, T2, Out>): DataStream<Out> {
    return this.transform({ kind: 'co-flat-map', name: 'CoFlatMap', create: () => new CoFlatMapOperator<T1, T2, Out>(fn) })
  }

  /** With time and side outputs; state and timers need keyed streams. */
  process<Out>(fn: CoProcessFunction<T1, T2, Out>): DataStream<Out> {
    return this.transform({ kind: 'co-process', name: 'CoProcess', create: () => new CoProcessOperator<T1, T2, Out>(fn) })
  }

  /** @internal */
  transform<Out>(spec: TwoInputSpec<T1, T2, Out>): DataStream<Out> {
    return this.first.transformWith(this.second, spec, {})
  }
}

/** Two streams with one key: their operators have state and timers by key. */
export class KeyedConnectedStreams<T1, T2, K> extends ConnectedStreams<T1, T2> {
  /** @internal */
  constructor(
    override readonly first: KeyedStream<T1, K>,
    override readonly second: KeyedStream<T2, K>,
  ) {
    super(first, second)
  }

  override process<Out, S extends StateDeclaration = {}>(fn: KeyedCoProcessFunction<K, T1, T2, Out, S>): DataStream<Out>
  override process<Out>(fn: CoProcessFunction<T1, T2, Out>): DataStream<Out>
  override process<Out>(fn: KeyedCoProcessFunction<K, T1, T2, Out, StateDeclaration> | CoProcessFunction<T1, T2, Out>): DataStream<Out> {
    return this.transform({
      kind: 'co-keyed-process',
      name: 'CoKeyedProcess',
      create: () => new CoKeyedProcessOperator<K, T1, T2, Out>(fn as KeyedCoProcessFunction<K, T1, T2, Out, StateDeclaration>),
    })
  }

  /** @internal */
  override transform<Out>(spec: TwoInputSpec<T1, T2, Out>): DataStream<Out> {
    return this.first.transformWith(this.second, spec, { keySelector: this.first.keySelector, keySelector2: this.second.keySelector })
  }
}
