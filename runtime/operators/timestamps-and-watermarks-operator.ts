import {
  MAX_WATERMARK,
  MIN_WATERMARK,
  MillraceError,
  type TimestampAssigner,
  type WatermarkGenerator,
  type WatermarkOutput,
  type WatermarkStrategy,
  WatermarksWithIdleness,
} from '../core/index.js'
import { IngestionTime } from './ingestion-time.js'
import { type OperatorContext, type Output, StreamOperator } from './stream-operator.js'
import { userError } from './user-error.js'

/** Gives records timestamps and the stream watermarks; watermarks from before are dropped, but for the last one. */
export class TimestampsAndWatermarksOperator<T> extends StreamOperator<T, T> {
  #assigner: TimestampAssigner<T> | undefined
  #generator!: WatermarkGenerator<T>
  #watermarks!: WatermarkEmitter
  #cancelPeriodic: (() => void) | undefined
  /** The last watermark has passed: the stream must not turn idle behind it. */
  #ended = false

  constructor(readonly strategy: WatermarkStrategy<T>) {
    super()
  }

  override open(): void {
    const ingestion = ingestionTimeOf(this.strategy, this.context)
    this.#assigner = ingestion === undefined ? this.strategy.timestampAssigner : () => ingestion.now()
    this.#generator = createGenerator(this.strategy, this.context, ingestion)
    this.#watermarks = new WatermarkEmitter(this.output)
    if (this.strategy.emitsWatermarks) this.#schedule()
  }

  #schedule(): void {
    const { clock } = this.context.processingTime
    this.#cancelPeriodic = this.context.processingTime.schedule(clock.now() + this.context.autoWatermarkIntervalMs, () => {
      this.#generator.onPeriodicEmit(this.#watermarks)
      this.#schedule()
    })
  }

  processElement(value: T, recordTimestamp: number): void {
    const timestamp = this.#assigner === undefined ? recordTimestamp : assignTimestamp(this.#assigner, value, recordTimestamp, this.context)
    this.output.collect(value, timestamp)
    this.#generator.onEvent(value, timestamp, this.#watermarks)
  }

  override processWatermark(watermark: number): void {
    if (watermark !== MAX_WATERMARK) return
    this.#ended = true
    this.#watermarks.emitWatermark(watermark)
  }

  override processStatus(): void {}

  override endInput(): void {
    if (!this.#ended) this.#generator.onPeriodicEmit(this.#watermarks)
  }

  override close(): void {
    this.#cancelPeriodic?.()
  }
}

export function ingestionTimeOf<T>(strategy: WatermarkStrategy<T>, context: OperatorContext): IngestionTime | undefined {
  return strategy.ingestionTime ? new IngestionTime(() => context.processingTime.clock.now()) : undefined
}

export function createGenerator<T>(
  strategy: WatermarkStrategy<T>,
  context: OperatorContext,
  ingestion: IngestionTime | undefined,
): WatermarkGenerator<T> {
  const generator: WatermarkGenerator<T> = ingestion ?? strategy.createGenerator()
  if (strategy.idlenessMs === undefined) return generator
  return new WatermarksWithIdleness(generator, strategy.idlenessMs, () => context.processingTime.clock.now())
}

/** Throws TIMESTAMP_INVALID for what is not a finite number of milliseconds, USER_FUNCTION when the assigner throws. */
export function assignTimestamp<T>(assigner: TimestampAssigner<T>, value: T, recordTimestamp: number, context: OperatorContext): number {
  let timestamp: number
  try {
    timestamp = assigner(value, recordTimestamp)
  } catch (thrown) {
    throw userError(thrown, context, 'the timestamp assigner')
  }
  // NaN, Infinity and what is no number at all fail this one comparison.
  if (timestamp - timestamp === 0 && typeof timestamp === 'number') return timestamp
  throw new MillraceError('TIMESTAMP_INVALID', {
    what: `the timestamp assigner returned ${typeof timestamp === 'number' ? timestamp : `${typeof timestamp} ${String(timestamp)}`}`,
    where: `operator "${context.name}" (uid ${context.uid})`,
    todo: 'Return the event time in epoch milliseconds; filter out records whose time cannot be read before assigning timestamps.',
    uid: context.uid,
  })
}

/** Lets only rising watermarks through and turns idleness into a status. */
export class WatermarkEmitter implements WatermarkOutput {
  #watermark = MIN_WATERMARK
  #idle = false
  constructor(readonly output: Pick<Output<unknown>, 'emitWatermark' | 'emitStatus'>) {}

  emitWatermark(timestamp: number): void {
    if (timestamp <= this.#watermark) return
    this.#watermark = timestamp
    this.markActive()
    this.output.emitWatermark(timestamp)
  }

  markIdle(): void {
    if (this.#idle) return
    this.#idle = true
    this.output.emitStatus(true)
  }

  markActive(): void {
    if (!this.#idle) return
    this.#idle = false
    this.output.emitStatus(false)
  }
}
