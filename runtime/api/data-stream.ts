import { printSink } from '../connectors/print/index.js'
import type { Window } from '../core/index.js'
import {
  type Collector,
  type FilterFunction,
  type FlatMapFunction,
  type KeyTypes,
  type MapFunction,
  MillraceError,
  type OutputTag,
  type ProcessFunction,
  type Sink,
  type WatermarkStrategy,
} from '../core/index.js'
import { FilterOperator } from '../operators/filter-operator.js'
import { FlatMapOperator } from '../operators/flat-map-operator.js'
import { MapOperator } from '../operators/map-operator.js'
import { ProcessOperator } from '../operators/process-operator.js'
import { SinkOperator } from '../operators/sink-operator.js'
import type { StreamOperator } from '../operators/stream-operator.js'
import { TimestampsAndWatermarksOperator } from '../operators/timestamps-and-watermarks-operator.js'
import type { TwoInputOperator } from '../operators/two-input-operator.js'
import type { Any, Partitioning, StreamEdge, StreamNode } from '../plan/index.js'
import { AllWindowedStream } from './all-windowed-stream.js'
import { BroadcastConnectedStream, type BroadcastDescriptors, BroadcastStream } from './broadcast-stream.js'
import { clientSink } from './client-sink.js'
import { ConnectedStreams } from './connected-streams.js'
import { PairedStreams } from './joined-streams.js'
import { type FieldKey, type KeySelector, keySelectorOf } from './key-selector.js'
import type { KeyedStream } from './keyed-stream.js'
import type { StreamExecutionEnvironment } from './stream-execution-environment.js'
import { CountTrigger, type GlobalWindow, GlobalWindows, type MergingWindowAssigner, PurgingTrigger, type WindowAssigner } from './windowing/index.js'

export interface OperatorSpec<In, Out> {
  readonly kind: string
  readonly name: string
  readonly create: () => StreamOperator<In, Out>
}

export interface TwoInputSpec<In1, In2, Out> {
  readonly kind: string
  readonly name: string
  readonly create: () => TwoInputOperator<In1, In2, Out>
}

/** The elements of the tuple T at the positions I. */
export type Projected<T extends readonly unknown[], I extends readonly number[]> = { -readonly [P in keyof I]: T[I[P] & keyof T] }

/** A stream of `T`s (Flink's DataStream and SingleOutputStreamOperator in one). */
export class DataStream<T> {
  /** @internal */
  constructor(
    /** @internal */ readonly env: StreamExecutionEnvironment,
    /** @internal */ readonly edges: readonly StreamEdge[],
  ) {}

  // --- transformations -------------------------------------------------------------------------------------------------

  map<Out>(fn: ((value: T) => Out) | MapFunction<T, Out>): DataStream<Out> {
    const object = typeof fn === 'function' ? { map: fn } : fn
    return this.transform({ kind: 'map', name: 'Map', create: () => new MapOperator<T, Out>(object) })
  }

  /** Any number of results for each element: `out.collect` them, or return (or yield) an iterable of them. */
  flatMap<Out>(fn: (value: T, out: Collector<Out>) => Iterable<Out>): DataStream<Out>
  flatMap<Out>(fn: ((value: T, out: Collector<Out>) => void) | FlatMapFunction<T, Out>): DataStream<Out>
  flatMap<Out>(fn: ((value: T, out: Collector<Out>) => unknown) | FlatMapFunction<T, Out>): DataStream<Out> {
    const object: FlatMapFunction<T, Out> =
      typeof fn === 'function'
        ? { flatMap: fn.length >= 2 ? (fn as FlatMapFunction<T, Out>['flatMap']) : collecting(fn as (value: T) => Iterable<Out>) }
        : fn
    return this.transform({ kind: 'flat-map', name: 'FlatMap', create: () => new FlatMapOperator<T, Out>(object) })
  }

  /**
   * The elements of a tuple at these positions, in this order (Flink's project).
   *
   * @example
   * env.fromElements([1, 'a', true] as const).project(2, 0) // DataStream<[boolean, number]>
   */
  project<Tuple extends readonly unknown[], const I extends readonly number[]>(
    this: DataStream<Tuple>,
    ...positions: I
  ): DataStream<Projected<Tuple, I>> {
    for (const position of positions) {
      if (Number.isInteger(position) && position >= 0) continue
      throw new MillraceError('OPTION_INVALID', { what: `project() was given ${String(position)}`, todo: 'Give positions in the tuple, from 0.' })
    }
    const object = { map: (tuple: Tuple) => positions.map((position) => tuple[position]) as Projected<Tuple, I> }
    return this.transform({ kind: 'project', name: 'Project', create: () => new MapOperator<Tuple, Projected<Tuple, I>>(object) })
  }

  filter<Kept extends T>(fn: (value: T) => value is Kept): DataStream<Kept>
  filter(fn: ((value: T) => boolean) | FilterFunction<T>): DataStream<T>
  filter(fn: ((value: T) => boolean) | FilterFunction<T>): DataStream<T> {
    const object = typeof fn === 'function' ? { filter: fn } : fn
    return this.transform({ kind: 'filter', name: 'Filter', create: () => new FilterOperator<T>(object) })
  }

  process<Out>(fn: ProcessFunction<T, Out>): DataStream<Out> {
    return this.transform({ kind: 'process', name: 'Process', create: () => new ProcessOperator<T, Out>(fn) })
  }

  /** Joins streams of one type into one; a stream given twice comes twice. */
  union(...others: readonly DataStream<T>[]): DataStream<T> {
    return new DataStream<T>(
      this.env,
      [this, ...others].flatMap((stream) => stream.edges),
    )
  }

  /** Two streams of different types into one operator; with a broadcast stream, every subtask of it gets all of that. */
  connect<B>(broadcast: BroadcastStream<B>): BroadcastConnectedStream<T, B>
  connect<T2>(other: DataStream<T2>): ConnectedStreams<T, T2>
  connect<T2>(other: DataStream<T2> | BroadcastStream<T2>): ConnectedStreams<T, T2> | BroadcastConnectedStream<T, T2> {
    return other instanceof BroadcastStream ? new BroadcastConnectedStream(this, other) : new ConnectedStreams(this, other)
  }

  /** Pairs of elements with equal keys in one window: `a.join(b).where(k1).equalTo(k2).window(assigner).apply(fn)`. */
  join<T2>(other: DataStream<T2>): PairedStreams<'join', T, T2> {
    return new PairedStreams('join', this, other)
  }

  /** The elements of both streams with one key in one window: `a.coGroup(b).where(k1).equalTo(k2).window(assigner).apply(fn)`. */
  coGroup<T2>(other: DataStream<T2>): PairedStreams<'coGroup', T, T2> {
    return new PairedStreams('coGroup', this, other)
  }

  assignTimestampsAndWatermarks(strategy: WatermarkStrategy<T>): DataStream<T> {
    return this.transform({ kind: 'watermarks', name: 'Timestamps/Watermarks', create: () => new TimestampsAndWatermarksOperator<T>(strategy) })
  }

  /**
   * Puts elements with equal keys into the same subtask, with state and timers by key. A key by function, field name, or index of a tuple.
   *
   * `keyTypes` says what the keys are when the job runs: it stands in the plan, so that a changed job whose keys are of another type, and would find none of
   * their state, is found before it is deployed; a key of another type fails with KEY_TYPE. Needed where keys are of several types.
   *
   * @example
   * logins.keyBy((login) => login.user, 'string')
   * persons.keyBy((person) => (person.id === 0 ? person.name : person.id), ['number', 'string'])
   */
  keyBy<const K>(selector: KeySelector<T, K>, keyTypes?: KeyTypes): KeyedStream<T, K>
  keyBy<F extends FieldKey<T>>(field: F, keyTypes?: KeyTypes): KeyedStream<T, T[F]>
  keyBy(selector: KeySelector<T, unknown> | PropertyKey, keyTypes?: KeyTypes): KeyedStream<T, Any> {
    return this.env.keyed(this, keySelectorOf<T, unknown>(selector, keyTypes))
  }

  /** Windows over the whole stream, in one subtask. */
  windowAll<W extends Window>(assigner: MergingWindowAssigner<T, W>): AllWindowedStream<T, W, true>
  windowAll<W extends Window>(assigner: WindowAssigner<T, W>): AllWindowedStream<T, W, false>
  windowAll<W extends Window>(assigner: WindowAssigner<T, W>): AllWindowedStream<T, W, boolean> {
    return new AllWindowedStream<T, W, boolean>(this, assigner)
  }

  /** A window for each `size` elements of the whole stream. */
  countWindowAll(size: number): AllWindowedStream<T, GlobalWindow, false> {
    return this.windowAll(GlobalWindows.create()).trigger(PurgingTrigger.of(CountTrigger.of(size)))
  }

  /** The elements that functions of this operator sent to `tag`. */
  getSideOutput<X>(tag: OutputTag<X>): DataStream<X> {
    return new DataStream<X>(this.env, [{ from: this.#node('getSideOutput'), sideTag: tag.id, partitioning: undefined }])
  }

  // --- partitioning ----------------------------------------------------------------------------------------------------

  /** Round-robin to all subtasks of the next operator. */
  rebalance(): DataStream<T> {
    return this.partition({ kind: 'rebalance' })
  }
  /** Round-robin to a fixed share of the next operator's subtasks. */
  rescale(): DataStream<T> {
    return this.partition({ kind: 'rescale' })
  }
  /** To a random subtask. */
  shuffle(): DataStream<T> {
    return this.partition({ kind: 'shuffle' })
  }
  /** Every element to every subtask. With descriptors, to be connected to a stream whose function keeps it in broadcast state. */
  broadcast(): DataStream<T>
  broadcast(...descriptors: readonly [BroadcastDescriptors[number], ...BroadcastDescriptors]): BroadcastStream<T>
  broadcast(...descriptors: BroadcastDescriptors): DataStream<T> | BroadcastStream<T> {
    const stream = this.partition({ kind: 'broadcast' })
    return descriptors.length === 0 ? stream : new BroadcastStream(stream, descriptors)
  }
  /** Everything to the first subtask. */
  global(): DataStream<T> {
    return this.partition({ kind: 'global' })
  }
  /** Subtask i to subtask i; both sides need the same parallelism. */
  forward(): DataStream<T> {
    return this.partition({ kind: 'forward' })
  }
  /** `partition(key, subtasks)` gives the subtask, from 0. */
  partitionCustom<K>(partition: (key: K, subtasks: number) => number, keySelector: KeySelector<T, K>): DataStream<T> {
    return this.partition({ kind: 'custom', keySelector, partition })
  }

  /** @internal */
  partition(partitioning: Partitioning): DataStream<T> {
    return new DataStream<T>(
      this.env,
      this.edges.map((edge) => ({ ...edge, partitioning })),
    )
  }

  // --- sinks -----------------------------------------------------------------------------------------------------------

  // biome-ignore lint/suspicious/noExplicitAny: what a sink keeps and commits is its own affair
  sinkTo(sink: Sink<T, any, any>): DataStreamSink {
    const node = this.env.addNode({
      kind: sink.name,
      name: sink.name,
      inputs: this.edges,
      source: undefined,
      createOperator: () => new SinkOperator<T>(sink),
      isSink: true,
    })
    return new DataStreamSink(node)
  }

  /** Prints each element on standard output, with `prefix> ` when one is given. */
  print(prefix?: string): DataStreamSink {
    return this.sinkTo(printSink<T>(prefix === undefined ? {} : { prefix })).name('Print')
  }

  /** Hands the elements to whoever runs the job: `(await handle.result()).collected[name]`. */
  collect(name: string): DataStreamSink {
    return this.sinkTo(clientSink<T>(name)).name(`Collect ${name}`)
  }

  // --- attributes of the operator ----------------------------------------------------------------------------------------

  /** Names the operator's state across versions of the job: give one to every operator with state. */
  uid(uid: string): this {
    this.#node('uid').uid = uid
    return this
  }
  name(name: string): this {
    this.#node('name').name = name
    return this
  }
  setParallelism(parallelism: number): this {
    this.#node('setParallelism').parallelism = parallelism
    return this
  }
  setMaxParallelism(maxParallelism: number): this {
    this.#node('setMaxParallelism').maxParallelism = maxParallelism
    return this
  }
  /** Later operators may still chain to this one. */
  startNewChain(): this {
    this.#node('startNewChain').chaining = 'head'
    return this
  }
  disableChaining(): this {
    this.#node('disableChaining').chaining = 'never'
    return this
  }

  /**
   * Operators of different groups share no slot: they are not chained, and may run in different threads. An operator without a group is in that of
   * its inputs.
   */
  slotSharingGroup(name: string): this {
    this.#node('slotSharingGroup').slotSharingGroup = name
    return this
  }

  #node(method: string): StreamNode {
    const [edge, ...more] = this.edges
    if (edge !== undefined && more.length === 0 && edge.sideTag === undefined && edge.partitioning === undefined) return edge.from
    throw new MillraceError('PLAN_INVALID', {
      what: `${method}() was called on a union, a side output or a partitioned stream, which is not an operator`,
      todo: `Call ${method}() right after the operator it is meant for.`,
    })
  }

  /** @internal */
  transform<Out>(spec: OperatorSpec<T, Out>, more: Partial<Pick<StreamNode, 'keySelector' | 'nonParallel'>> = {}): DataStream<Out> {
    const node = this.env.addNode({ kind: spec.kind, name: spec.name, inputs: this.edges, source: undefined, createOperator: spec.create, ...more })
    return new DataStream<Out>(this.env, [{ from: node, sideTag: undefined, partitioning: undefined }])
  }

  /** @internal An operator with this stream as its first input and `second` as its second. */
  transformWith<T2, Out>(
    second: DataStream<T2>,
    spec: TwoInputSpec<T, T2, Out>,
    keys: Partial<Pick<StreamNode, 'keySelector' | 'keySelector2'>>,
  ): DataStream<Out> {
    if (second.env !== this.env) {
      throw new MillraceError('PLAN_INVALID', {
        what: `the two inputs of ${spec.name} belong to different jobs`,
        todo: 'Make both streams from the same environment.',
      })
    }
    const inputs = [...this.edges.map((edge) => ({ ...edge, input: 0 as const })), ...second.edges.map((edge) => ({ ...edge, input: 1 as const }))]
    const node = this.env.addNode({ kind: spec.kind, name: spec.name, inputs, source: undefined, createOperator: spec.create, ...keys })
    return new DataStream<Out>(this.env, [{ from: node, sideTag: undefined, partitioning: undefined }])
  }
}

/** The end of a stream; gives the sink its attributes. */
export class DataStreamSink {
  readonly #node: StreamNode
  /** @internal */
  constructor(node: StreamNode) {
    this.#node = node
  }
  uid(uid: string): this {
    this.#node.uid = uid
    return this
  }
  name(name: string): this {
    this.#node.name = name
    return this
  }
  setParallelism(parallelism: number): this {
    this.#node.parallelism = parallelism
    return this
  }
  disableChaining(): this {
    this.#node.chaining = 'never'
    return this
  }
  slotSharingGroup(name: string): this {
    this.#node.slotSharingGroup = name
    return this
  }
}

/** A function that returns its results as one that collects them. */
function collecting<T, Out>(fn: (value: T) => Iterable<Out>): FlatMapFunction<T, Out>['flatMap'] {
  return (value, out) => {
    for (const result of fn(value)) out.collect(result)
  }
}
