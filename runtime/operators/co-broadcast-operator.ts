import type { BroadcastProcessFunction, MapStateDescriptor } from '../core/index.js'
import { BroadcastStateStore } from '../state/index.js'
import { BroadcastElementContext, ElementContext } from './broadcast-contexts.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { TimestampedCollector } from './function-operator.js'
import { namedChanges } from './function-state.js'
import { UnkeyedTimerService } from './process-operator.js'
import { userError } from './user-error.js'

/** BroadcastProcessFunction: a stream without keys and a broadcast one (Flink's CoBroadcastWithNonKeyedOperator). */
export class CoBroadcastOperator<In, B, Out> extends CoFunctionOperator<In, B, Out, BroadcastProcessFunction<In, B, Out>> {
  #collector!: TimestampedCollector<Out>
  #store!: BroadcastStateStore
  #elementContext!: ElementContext
  #broadcastContext!: BroadcastElementContext
  #watermark = Number.NEGATIVE_INFINITY

  constructor(
    fn: BroadcastProcessFunction<In, B, Out>,
    readonly descriptors: readonly MapStateDescriptor<unknown, unknown>[],
  ) {
    super(fn)
  }

  override open(restored: readonly unknown[]): void {
    this.#store = new BroadcastStateStore(this.descriptors, restored)
    this.#collector = new TimestampedCollector(this.output)
    const time = new UnkeyedTimerService(
      () => this.#watermark,
      () => this.context.processingTime.clock.now(),
    )
    this.#elementContext = new ElementContext(this.#collector, this.output, time, this.#store)
    this.#broadcastContext = new BroadcastElementContext(this.#collector, this.output, time, this.#store)
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
    this.#watermark = watermark
    super.processWatermark(watermark)
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return [...super.snapshotState(checkpointId), ...this.#store.snapshot()]
  }

  override takeStateChanges(checkpointId: number): unknown {
    return namedChanges(this.takeFunctionChanges(checkpointId), this.#store.takeChanges())
  }
}
