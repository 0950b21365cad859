import {
  type AnyStateDescriptor,
  type BroadcastContext,
  type BroadcastReadOnlyContext,
  type BroadcastState,
  type KeyedBroadcastContext,
  type KeyedBroadcastOnTimerContext,
  type MapStateDescriptor,
  NO_TIMESTAMP,
  type OutputTag,
  type ReadOnlyBroadcastState,
  type StateDeclaration,
  type StateHandleOf,
  type StateHandles,
  type TimerService,
} from '../core/index.js'
import { type BroadcastStateStore, type KeyedStateBackend, readOnly, StateScope, stateHandle } from '../state/index.js'
import type { TimestampedCollector } from './function-operator.js'
import { KeyedRecordContext, named } from './keyed-process-operator.js'
import { RecordContext } from './process-operator.js'
import type { Output } from './stream-operator.js'

/** Read-only views, one for each state, since functions ask for theirs with every element. */
class ReadOnlyStates {
  readonly #views = new Map<string, ReadOnlyBroadcastState<never, unknown>>()
  constructor(readonly store: BroadcastStateStore) {}

  get<K, V>(descriptor: MapStateDescriptor<K, V>): ReadOnlyBroadcastState<K, V> {
    let view = this.#views.get(descriptor.name)
    if (view === undefined) {
      view = readOnly(this.store.get(descriptor)) as ReadOnlyBroadcastState<never, unknown>
      this.#views.set(descriptor.name, view)
    }
    return view as unknown as ReadOnlyBroadcastState<K, V>
  }
}

/** What the side without broadcast sees, without keys. */
export class ElementContext extends RecordContext implements BroadcastReadOnlyContext {
  readonly #states: ReadOnlyStates

  constructor(collector: TimestampedCollector<never>, results: Output<unknown>, timers: TimerService, store: BroadcastStateStore) {
    super(collector, results, timers)
    this.#states = new ReadOnlyStates(store)
  }

  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): ReadOnlyBroadcastState<K, V> {
    return this.#states.get(descriptor)
  }
}

/** The same with keys, also for timers. */
export class KeyedElementContext<K> extends KeyedRecordContext<K> implements KeyedBroadcastOnTimerContext<K, StateDeclaration> {
  readonly #states: ReadOnlyStates

  constructor(
    collector: TimestampedCollector<never>,
    results: Output<unknown>,
    timers: TimerService,
    backend: KeyedStateBackend,
    state: StateHandles<StateDeclaration>,
    store: BroadcastStateStore,
  ) {
    super(collector, results, timers, backend, state)
    this.#states = new ReadOnlyStates(store)
  }

  getBroadcastState<K2, V>(descriptor: MapStateDescriptor<K2, V>): ReadOnlyBroadcastState<K2, V> {
    return this.#states.get(descriptor)
  }
}

/** What the broadcast side sees. */
export class BroadcastElementContext implements BroadcastContext {
  constructor(
    readonly collector: TimestampedCollector<never>,
    readonly results: Output<unknown>,
    readonly time: TimerService,
    readonly store: BroadcastStateStore,
  ) {}

  get timestamp(): number | null {
    return this.collector.timestamp === NO_TIMESTAMP ? null : this.collector.timestamp
  }
  currentProcessingTime(): number {
    return this.time.currentProcessingTime()
  }
  currentWatermark(): number {
    return this.time.currentWatermark()
  }
  getBroadcastState<K, V>(descriptor: MapStateDescriptor<K, V>): BroadcastState<K, V> {
    return this.store.get(descriptor)
  }
  output<X>(tag: OutputTag<X>, value: X): void {
    this.results.collectSide(tag.id, value, this.collector.timestamp)
  }
}

/** What the broadcast side sees beside a keyed stream. */
export class KeyedBroadcastElementContext<K> extends BroadcastElementContext implements KeyedBroadcastContext<K> {
  readonly #scope: StateScope

  constructor(
    collector: TimestampedCollector<never>,
    results: Output<unknown>,
    time: TimerService,
    store: BroadcastStateStore,
    readonly backend: KeyedStateBackend,
    readonly declared: StateDeclaration,
  ) {
    super(collector, results, time, store)
    this.#scope = new StateScope(backend)
  }

  applyToKeyedState<D extends AnyStateDescriptor>(descriptor: D, fn: (key: K, state: StateHandleOf<D>) => void): void {
    const resolved = this.#named(descriptor)
    const handle = stateHandle(this.#scope, resolved) as StateHandleOf<D>
    const table = this.backend.table(resolved)
    // The keys as they are now: `fn` may clear rows.
    for (const key of [...table.keys()]) {
      if (table.get(key, null) === null) continue
      this.backend.currentKey = key
      fn(this.backend.currentUserKey as K, handle)
    }
  }

  #named(descriptor: AnyStateDescriptor): AnyStateDescriptor {
    const property = Object.entries(this.declared).find(([, declared]) => declared === descriptor)
    return property === undefined ? descriptor : named(descriptor, property[0])
  }
}
