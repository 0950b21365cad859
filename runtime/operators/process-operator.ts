import { NO_TIMESTAMP, type OutputTag, type ProcessContext, type ProcessFunction, type TimerService } from '../core/index.js'
import { FunctionOperator, TimestampedCollector } from './function-operator.js'
import type { Output } from './stream-operator.js'
import { userError } from './user-error.js'

/** ProcessFunction on a stream without keys: side outputs and time, no timers. */
export class ProcessOperator<In, Out> extends FunctionOperator<In, Out, ProcessFunction<In, Out>> {
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

  processElement(value: In, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.processElement(value, this.#userContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'processElement')
    }
  }

  override processWatermark(watermark: number): void {
    this.#watermark = watermark
    super.processWatermark(watermark)
  }
}

/** What a process function sees of the current record. */
export class RecordContext implements ProcessContext {
  constructor(
    protected readonly collector: TimestampedCollector<never>,
    protected readonly results: Output<unknown>,
    readonly timerService: TimerService,
  ) {}

  get timestamp(): number | null {
    return this.collector.timestamp === NO_TIMESTAMP ? null : this.collector.timestamp
  }

  output<X>(tag: OutputTag<X>, value: X): void {
    this.results.collectSide(tag.id, value, this.collector.timestamp)
  }
}

/** Time without timers. */
export class UnkeyedTimerService implements TimerService {
  constructor(
    readonly currentWatermark: () => number,
    readonly currentProcessingTime: () => number,
  ) {}

  registerEventTimeTimer(): never {
    throw refuse()
  }
  registerProcessingTimeTimer(): never {
    throw refuse()
  }
  deleteEventTimeTimer(): never {
    throw refuse()
  }
  deleteProcessingTimeTimer(): never {
    throw refuse()
  }
}

function refuse(): Error {
  return new Error('timers need a keyed stream: call keyBy() before process()')
}
