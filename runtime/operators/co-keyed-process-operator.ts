import { type KeyedCoProcessFunction, NO_TIMESTAMP, type OnTimerContext, type StateDeclaration } from '../core/index.js'
import type { KeyedStateBackend, Timer } from '../state/index.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { TimestampedCollector } from './function-operator.js'
import { declaredStates, KeyedRecordContext, KeyedTimerService } from './keyed-process-operator.js'
import { TimerSweep, type TimerTarget } from './timer-sweep.js'
import { userError } from './user-error.js'

type Fn<K, In1, In2, Out> = KeyedCoProcessFunction<K, In1, In2, Out, StateDeclaration>

/** KeyedCoProcessFunction: both inputs share state and timers by key. */
export class CoKeyedProcessOperator<K, In1, In2, Out> extends CoFunctionOperator<In1, In2, Out, Fn<K, In1, In2, Out>> implements TimerTarget {
  #collector!: TimestampedCollector<Out>
  #userContext!: KeyedRecordContext<K>
  #timers!: TimerSweep

  override open(restored: readonly unknown[]): void {
    const backend = this.context.keyed as KeyedStateBackend
    this.#collector = new TimestampedCollector(this.output)
    this.#timers = new TimerSweep(backend, this.context.processingTime, this)
    this.#timers.open()
    this.#userContext = new KeyedRecordContext(
      this.#collector,
      this.output,
      new KeyedTimerService(backend, this.#timers),
      backend,
      declaredStates(backend, this.fn.state ?? {}),
    )
    super.open(restored)
  }

  processElement(value: In1, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.processElement1(value, this.#userContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'processElement1')
    }
  }

  processElement2(value: In2, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.processElement2(value, this.#userContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'processElement2')
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
    this.#userContext.enterTimer(timer.time, timeDomain)
    try {
      this.fn.onTimer?.(timer.time, this.#userContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'onTimer')
    } finally {
      this.#userContext.leaveTimer()
    }
  }

  override close(): void {
    this.#timers?.close()
    super.close()
  }
}
