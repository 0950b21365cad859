import type { CoProcessFunction, ProcessContext } from '../core/index.js'
import { CoFunctionOperator } from './co-function-operator.js'
import { TimestampedCollector } from './function-operator.js'
import { RecordContext, UnkeyedTimerService } from './process-operator.js'
import { userError } from './user-error.js'

/** CoProcessFunction on streams without keys: side outputs and time, no timers. */
export class CoProcessOperator<In1, In2, Out> extends CoFunctionOperator<In1, In2, Out, CoProcessFunction<In1, In2, Out>> {
  #collector!: TimestampedCollector<Out>
  #userContext!: ProcessContext
  #watermark = Number.NEGATIVE_INFINITY

  override open(restored: readonly unknown[]): void {
    this.#collector = new TimestampedCollector(this.output)
    const timers = new UnkeyedTimerService(
      () => this.#watermark,
      () => this.context.processingTime.clock.now(),
    )
    this.#userContext = new RecordContext(this.#collector, this.output, timers)
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
    this.#watermark = watermark
    super.processWatermark(watermark)
  }
}
