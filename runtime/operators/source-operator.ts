import {
  MAX_WATERMARK,
  MIN_WATERMARK,
  NO_TIMESTAMP,
  type ReaderOutput,
  type ReadStatus,
  type Source,
  type SourceReader,
  type SourceSplit,
  type TimestampAssigner,
  type WatermarkGenerator,
  type WatermarkStrategy,
} from '../core/index.js'
import { type Output, StreamOperator } from './stream-operator.js'
import { assignTimestamp, createGenerator, ingestionTimeOf, WatermarkEmitter } from './timestamps-and-watermarks-operator.js'
import { userError } from './user-error.js'

/**
 * Runs one subtask's source reader. Timestamps and watermarks are taken here, one generator for each split, so that a
 * split that is ahead does not make the records of another late; the output watermark is the least of the active splits.
 */
export class SourceOperator<T, Split extends SourceSplit> extends StreamOperator<never, T> implements ReaderOutput<T> {
  #reader!: SourceReader<T, Split>
  #watermarks!: SplitWatermarks<T>
  #assigner: TimestampAssigner<T> | undefined
  #plain = false
  #cancelPeriodic: (() => void) | undefined
  #cancelReport: (() => void) | undefined
  readonly #aligned = new KnownProgress(() => this.output)
  #limit = MAX_WATERMARK

  constructor(
    readonly source: Source<T, Split, unknown>,
    readonly strategy: WatermarkStrategy<T>,
    readonly requestSplit: () => void,
    /** Tells whoever aligns sources how far this one has come; Infinity when it holds nobody back. */
    readonly reportWatermark: (watermark: number) => void = () => {},
    /** To the enumerator. */
    readonly sendSourceEvent: (event: unknown) => void = () => {},
  ) {
    super()
  }

  override open(): void {
    const { context } = this
    const ingestion = ingestionTimeOf(this.strategy, context)
    this.#assigner = ingestion === undefined ? this.strategy.timestampAssigner : () => ingestion.now()
    this.#plain = !this.strategy.emitsWatermarks && this.#assigner === undefined
    this.#watermarks = new SplitWatermarks<T>(() => createGenerator(this.strategy, context, ingestion), this.#aligned)
    this.#reader = this.source.createReader({
      subtaskIndex: context.subtaskIndex,
      parallelism: context.parallelism,
      runtime: context.runtime,
      now: () => context.processingTime.clock.now(),
      requestSplit: this.requestSplit,
      sendSourceEvent: this.sendSourceEvent,
    })
    this.#reader.start()
    if (this.strategy.emitsWatermarks) this.#schedule()
    if (this.strategy.alignment === undefined) return
    // At once: nobody is to run ahead before the others have begun.
    this.reportWatermark(MIN_WATERMARK)
    this.#reportRegularly(this.strategy.alignment.updateIntervalMs)
  }

  // --- alignment with other sources --------------------------------------------------------------------------------------

  /** Too far ahead of the sources it is aligned with: nothing is to be read now. */
  get paused(): boolean {
    return this.#aligned.watermark > this.#limit
  }

  /** The watermark from which on it pauses. */
  set watermarkLimit(limit: number) {
    this.#limit = limit
  }

  #reportRegularly(intervalMs: number): void {
    const { processingTime } = this.context
    this.#cancelReport = processingTime.schedule(processingTime.clock.now() + intervalMs, () => {
      this.reportWatermark(this.#aligned.idle ? MAX_WATERMARK : this.#aligned.watermark)
      this.#reportRegularly(intervalMs)
    })
  }

  // --- reading -----------------------------------------------------------------------------------------------------------

  #schedule(): void {
    const { processingTime, autoWatermarkIntervalMs } = this.context
    this.#cancelPeriodic = processingTime.schedule(processingTime.clock.now() + autoWatermarkIntervalMs, () => {
      this.#watermarks.onPeriodicEmit()
      this.#schedule()
    })
  }

  /** Emits some records. Throws what the reader throws. */
  pollNext(): ReadStatus {
    try {
      const status = this.#reader.pollNext(this)
      // So that it pauses soon, and not after all that it can read in the interval of periodic watermarks.
      if (this.strategy.alignment !== undefined) this.#watermarks.onPeriodicEmit()
      return status
    } catch (thrown) {
      throw userError(thrown, this.context, `reading from source "${this.source.name}"`)
    }
  }

  available(): Promise<void> {
    return this.#reader.available()
  }

  /** After `waiting`: in how many ms the reader is to be polled again; undefined when `available` tells. */
  dueInMs(): number | undefined {
    return this.#reader.dueInMs?.()
  }

  addSplits(splits: readonly Split[]): void {
    for (const split of splits) this.#watermarks.register(split.splitId)
    this.#reader.addSplits(splits)
  }

  notifyNoMoreSplits(): void {
    this.#reader.notifyNoMoreSplits()
  }

  collect(value: T, recordTimestamp: number = NO_TIMESTAMP, splitId = ''): void {
    this.context.metrics.recordsIn++
    if (this.#plain) {
      this.output.collect(value, recordTimestamp)
      return
    }
    const timestamp = this.#assigner === undefined ? recordTimestamp : assignTimestamp(this.#assigner, value, recordTimestamp, this.context)
    this.output.collect(value, timestamp)
    this.#watermarks.onEvent(value, timestamp, splitId)
  }

  releaseSplit(splitId: string): void {
    this.#watermarks.release(splitId)
  }

  processElement(): never {
    throw new Error('a source has no input')
  }

  /** The end of this subtask's input: the last watermark. */
  override endInput(): void {
    this.#watermarks.onPeriodicEmit()
    this.#watermarks.end()
    if (this.strategy.alignment === undefined) return
    this.#cancelReport?.()
    this.reportWatermark(MAX_WATERMARK)
  }

  override snapshotState(): readonly Split[] {
    return this.#reader.snapshotState()
  }

  override notifyCheckpointComplete(checkpointId: number): void {
    this.#reader.notifyCheckpointComplete?.(checkpointId)
  }

  override async close(): Promise<void> {
    this.#cancelPeriodic?.()
    this.#cancelReport?.()
    await this.#reader?.close()
  }
}

/** Passes on watermarks and status, and remembers them. */
class KnownProgress implements Pick<Output<unknown>, 'emitWatermark' | 'emitStatus'> {
  watermark = MIN_WATERMARK
  idle = false
  constructor(readonly output: () => Output<unknown>) {}

  emitWatermark(watermark: number): void {
    this.watermark = watermark
    this.output().emitWatermark(watermark)
  }
  emitStatus(idle: boolean): void {
    this.idle = idle
    this.output().emitStatus(idle)
  }
}

interface SplitProgress<T> {
  readonly generator: WatermarkGenerator<T>
  readonly output: WatermarkEmitter
  watermark: number
  idle: boolean
}

/** The least watermark over a reader's splits (Flink's WatermarkOutputMultiplexer). */
class SplitWatermarks<T> {
  readonly #splits = new Map<string, SplitProgress<T>>()
  readonly #combined: WatermarkEmitter
  /** Stands in while there are no splits. */
  #empty: WatermarkGenerator<T> | undefined
  /** The reader does not say which split a record is from: all splits share one generator. */
  #undivided = false
  #lastId: string | undefined
  #last: SplitProgress<T> | undefined

  constructor(
    readonly createGenerator: () => WatermarkGenerator<T>,
    output: Pick<Output<T>, 'emitWatermark' | 'emitStatus'>,
  ) {
    this.#combined = new WatermarkEmitter(output)
  }

  onEvent(value: T, timestamp: number, splitId: string): void {
    const split = splitId === this.#lastId && this.#last !== undefined ? this.#last : this.#split(splitId)
    split.generator.onEvent(value, timestamp, split.output)
  }

  /** An assigned split holds back the watermark from the start, not from its first record. */
  register(splitId: string): void {
    if (!this.#undivided) this.#split(splitId)
  }

  #split(splitId: string): SplitProgress<T> {
    if (splitId === '' && !this.#undivided) {
      this.#undivided = true
      this.#splits.clear()
    }
    let split = this.#splits.get(splitId)
    if (split === undefined) {
      this.#empty = undefined
      const progress = { watermark: MIN_WATERMARK, idle: false }
      const output = new WatermarkEmitter({
        emitWatermark: (watermark) => {
          created.watermark = watermark
          this.#combine()
        },
        emitStatus: (idle) => {
          created.idle = idle
          this.#combine()
        },
      })
      const created: SplitProgress<T> = Object.assign(progress, { generator: this.createGenerator(), output })
      split = created
      this.#splits.set(splitId, split)
    }
    this.#lastId = splitId
    this.#last = split
    return split
  }

  onPeriodicEmit(): void {
    if (this.#splits.size === 0) this.#withoutSplits()
    for (const split of this.#splits.values()) split.generator.onPeriodicEmit(split.output)
  }

  /** No split, no record: the strategy's idleness counts for that, too. */
  #withoutSplits(): void {
    this.#empty ??= this.createGenerator()
    this.#empty.onPeriodicEmit(this.#combined)
  }

  release(splitId: string): void {
    const split = this.#splits.get(splitId)
    if (split === undefined) return
    this.#splits.delete(splitId)
    this.#lastId = undefined
    if (this.#splits.size > 0) this.#combine()
  }

  end(): void {
    this.#combined.emitWatermark(MAX_WATERMARK)
  }

  #combine(): void {
    let least = MAX_WATERMARK
    let active = false
    let greatest = MIN_WATERMARK
    for (const split of this.#splits.values()) {
      greatest = Math.max(greatest, split.watermark)
      if (split.idle) continue
      active = true
      least = Math.min(least, split.watermark)
    }
    if (active) {
      this.#combined.markActive()
      this.#combined.emitWatermark(least)
    } else {
      if (greatest !== MIN_WATERMARK) this.#combined.emitWatermark(greatest)
      this.#combined.markIdle()
    }
  }
}
