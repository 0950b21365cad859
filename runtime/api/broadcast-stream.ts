import {
  type BroadcastProcessFunction,
  type KeyedBroadcastProcessFunction,
  type MapStateDescriptor,
  MillraceError,
  type StateDeclaration,
} from '../core/index.js'
import { CoBroadcastOperator } from '../operators/co-broadcast-operator.js'
import { CoKeyedBroadcastOperator } from '../operators/co-keyed-broadcast-operator.js'
import type { Any } from '../plan/index.js'
import type { DataStream } from './data-stream.js'
import type { KeyedStream } from './keyed-stream.js'

export type BroadcastDescriptors = readonly MapStateDescriptor<Any, Any>[]

/** A stream whose every element goes to every subtask, with the states that its elements are kept in (Flink's BroadcastStream). */
export class BroadcastStream<T> {
  /** @internal */
  constructor(
    /** @internal */ readonly stream: DataStream<T>,
    /** @internal */ readonly descriptors: BroadcastDescriptors,
  ) {
    const names = descriptors.map(({ name }) => name)
    const wrong = names.find((name, i) => name === '' || names.indexOf(name) !== i)
    if (wrong === undefined) return
    throw new MillraceError('STATE_DESCRIPTOR', {
      what: wrong === '' ? 'a descriptor of a broadcast state has no name' : `two descriptors of broadcast states have the name "${wrong}"`,
      todo: "Give each a name of its own: mapState({ name: 'rules' }).",
    })
  }
}

/** A stream beside a broadcast one (Flink's BroadcastConnectedStream). */
export class BroadcastConnectedStream<T, B> {
  /** @internal */
  constructor(
    /** @internal */ readonly stream: DataStream<T>,
    /** @internal */ readonly broadcast: BroadcastStream<B>,
  ) {}

  process<Out>(fn: BroadcastProcessFunction<T, B, Out>): DataStream<Out> {
    const { stream, descriptors } = this.broadcast
    return this.stream.transformWith(
      stream,
      { kind: 'broadcast-process', name: 'BroadcastProcess', create: () => new CoBroadcastOperator<T, B, Out>(fn, descriptors) },
      {},
    )
  }
}

/** A keyed stream beside a broadcast one. */
export class KeyedBroadcastConnectedStream<T, K, B> extends BroadcastConnectedStream<T, B> {
  /** @internal */
  constructor(
    override readonly stream: KeyedStream<T, K>,
    broadcast: BroadcastStream<B>,
  ) {
    super(stream, broadcast)
  }

  override process<Out, S extends StateDeclaration = {}>(fn: KeyedBroadcastProcessFunction<K, T, B, Out, S>): DataStream<Out>
  override process<Out>(fn: BroadcastProcessFunction<T, B, Out>): DataStream<Out>
  override process<Out>(fn: KeyedBroadcastProcessFunction<K, T, B, Out, StateDeclaration> | BroadcastProcessFunction<T, B, Out>): DataStream<Out> {
    const { stream, descriptors } = this.broadcast
    const object = fn as KeyedBroadcastProcessFunction<K, T, B, Out, StateDeclaration>
    return this.stream.transformWith(
      stream,
      {
        kind: 'keyed-broadcast-process',
        name: 'KeyedBroadcastProcess',
        create: () => new CoKeyedBroadcastOperator<K, T, B, Out>(object, descriptors),
      },
      { keySelector: this.stream.keySelector },
    )
  }
}
