import {
  type KeyedBroadcastProcessFunction,
  type MapStateDescriptor,
  NO_TIMESTAMP,
  type OnTimerContext,
  type StateDeclaration,
} from '../core/index.js'
import { BroadcastStateStore, type KeyedStateBackend, type Timer } from '../state/index.js'
import { KeyedBroadcastElementContext, KeyedElementContext } from './broadcast-contexts.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { TimestampedCollector } from './function-operator.js'
import { declaredStates, KeyedTimerService } from './keyed-process-operator.js'
import { TimerSweep, type TimerTarget } from './timer-sweep.js'
import { userError } from './user-error.js'

type Fn<K, In, B, Out> = KeyedBroadcastProcessFunction<K, In, B, Out, StateDeclaration>

/** KeyedBroadcastProcessFunction: a keyed stream and a broadcast one (Flink's CoBroadcastWithKeyedOperator). */
export class CoKeyedBroadcastOperator<K, In, B, Out> extends CoFunctionOperator<In, B, Out, Fn<K, In, B, Out>> implements TimerTarget {
  #collector!: TimestampedCollector<Out>
  #store!: BroadcastStateStore
  #elementContext!: KeyedElementContext<K>
  #broadcastContext!: KeyedBroadcastElementContext<K>
  #timers!: TimerSweep

  constructor(
    fn: Fn<K, In, B, Out>,
    readonly descriptors: readonly MapStateDescriptor<unknown, unknown>[],
  ) {
    super(fn)
  }

  override open(restored: readonly unknown[]): void {
    const backend = this.context.keyed as KeyedStateBackend
    const declared = this.fn.state ?? {}
    this.#store = new BroadcastStateStore(this.descriptors, restored)
    this.#collector = new TimestampedCollector(this.output)
    this.#timers = new TimerSweep(backend, this.context.processingTime, this)
    this.#timers.open()
    const time = new KeyedTimerService(backend, this.#timers)
    const handles = declaredStates(backend, declared)
    this.#elementContext = new KeyedElementContext(this.#collector, this.output, time, backend, handles, this.#store)
    this.#broadcastContext = new KeyedBroadcastElementContext(this.#collector, this.output, time, this.#store, backend, declared)
    super.open(restored)
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

  override processWatermark(watermark: number): void {
    this.#timers.advanceWatermark(watermark)
    this.output.emitWatermark(watermark)
  }

  onEventTime(timer: Timer): void {
    this.#fire(timer, timer.time, 'event-time')
  }

  /** Results of processing-time timers carry no timestamp, as in Flink. */
  onProcessingTime(timer: Timer): void {
    this.#fire(timer, NO_TIMESTAMP, 'processing-time')
  }

  #fire(timer: Timer, timestamp: number, timeDomain: OnTimerContext<K>['timeDomain']): void {
    this.#collector.timestamp = timestamp
    this.#elementContext.enterTimer(timer.time, timeDomain)
    try {
      this.fn.onTimer?.(timer.time, this.#elementContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'onTimer')
    } finally {
      this.#elementContext.leaveTimer()
    }
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return [...super.snapshotState(checkpointId), ...this.#store.snapshot()]
  }

  override close(): void {
    this.#timers?.close()
    super.close()
  }
}
