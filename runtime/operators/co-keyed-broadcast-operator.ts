import type { KeyedBroadcastProcessFunction, MapStateDescriptor, StateDeclaration } from '../core/index.js'
import { BroadcastStateStore } from '../state/index.js'
import { KeyedBroadcastElementContext, KeyedElementContext } from './broadcast-contexts.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { TimestampedCollector } from './function-operator.js'
import { namedChanges } from './function-state.js'
import { declaredStates } from './keyed-process-operator.js'
import { KeyedTimerFiring } from './keyed-timer-firing.js'
import { userError } from './user-error.js'

type Fn<K, In, B, Out> = KeyedBroadcastProcessFunction<K, In, B, Out, StateDeclaration>

/** KeyedBroadcastProcessFunction: a keyed stream and a broadcast one (Flink's CoBroadcastWithKeyedOperator). */
export class CoKeyedBroadcastOperator<K, In, B, Out> extends CoFunctionOperator<In, B, Out, Fn<K, In, B, Out>> {
  #collector!: TimestampedCollector<Out>
  #store!: BroadcastStateStore
  #elementContext!: KeyedElementContext<K>
  #broadcastContext!: KeyedBroadcastElementContext<K>

  constructor(
    fn: Fn<K, In, B, Out>,
    readonly descriptors: readonly MapStateDescriptor<unknown, unknown>[],
  ) {
    super(fn)
  }

  override open(restored: readonly unknown[]): void {
    const { keyed, output } = this
    const declared = this.fn.state ?? {}
    const store = new BroadcastStateStore(this.descriptors, restored)
    const collector = new TimestampedCollector(output)
    const handles = declaredStates(keyed, declared)
    this.#store = store
    this.#collector = collector
    const timers = new KeyedTimerFiring<KeyedElementContext<K>, Out>(this.fn, this.context, collector, (time) => {
      this.#broadcastContext = new KeyedBroadcastElementContext(collector, output, time, store, keyed, declared)
      return new KeyedElementContext(collector, output, time, keyed, handles, store)
    })
    this.sweep = timers.sweep
    this.#elementContext = timers.userContext
    super.open(restored)
  }

  /** `applyToKeyedState` goes round all keys. */
  override get needsWholeState(): boolean {
    return true
  }

  processElement(value: In, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.processElement(value, this.#elementContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'processElement')
    }
  }

  processElement2(value: B, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.processBroadcastElement(value, this.#broadcastContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'processBroadcastElement')
    }
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return [...super.snapshotState(checkpointId), ...this.#store.snapshot()]
  }

  override takeStateChanges(checkpointId: number): unknown {
    return namedChanges(this.takeFunctionChanges(checkpointId), this.#store.takeChanges())
  }
}
