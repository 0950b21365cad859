import type { ClientBatch, RuntimeContext } from '../core/index.js'
import type { Clock } from '../ports/index.js'
import type { KeyedStateBackend } from '../state/keyed-state-backend.js'
import type { OperatorMetrics } from './operator-metrics.js'

/** Where an operator's results go: the next operator of the chain, or the subtask's channels. */
export interface Output<T> {
  /** `timestamp` is epoch ms, or NO_TIMESTAMP. */
  collect(value: T, timestamp: number): void
  emitWatermark(watermark: number): void
  emitStatus(idle: boolean): void
  collectSide(tagId: string, value: unknown, timestamp: number): void
}

/** Calls back in the subtask's thread, on its own turns; one per subtask. */
export interface ProcessingTimeService {
  readonly clock: Clock
  /** Runs `callback(time)` in the subtask's thread once the clock has reached `time`. Returns a cancel function. */
  schedule(time: number, callback: (time: number) => void): () => void
  /** Runs `callback` on the subtask's next turn: the way back for results of promises (Flink's mailbox). In the order of the calls. */
  soon(callback: () => void): void
}

/** How an operator that cannot take input at any time holds it back. Such an operator must be the head of its chain. */
export interface Intake {
  /** No element and no watermark may come now; asked before each of them. One that comes to take input again says so through `soon`. */
  readonly blocked: boolean
  /** After `endInput`: results are still to come, and the end does not go on to those behind. */
  readonly draining: boolean
}

/** Everything the runtime lends to one operator of one subtask. */
export interface OperatorContext {
  readonly uid: string
  readonly name: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly maxParallelism: number
  readonly attemptNumber: number
  readonly metrics: OperatorMetrics
  readonly processingTime: ProcessingTimeService
  /** Present for operators on keyed streams. */
  readonly keyed: KeyedStateBackend | undefined
  readonly runtime: RuntimeContext
  readonly restoredCheckpointId: number
  /** Interval of periodic watermarks, ms. */
  readonly autoWatermarkIntervalMs: number
  /** Hands committed results to whoever started the job. */
  emitToClient(name: string, values: readonly unknown[], batch: ClientBatch): void
  /** Fails the subtask from an asynchronous callback. */
  fail(error: unknown): void
}

/**
 * One operator of one subtask. All calls come from one thread, one at a time, and never wait: what takes time returns
 * a promise where the signature allows one.
 */
export abstract class StreamOperator<In, Out> {
  protected context!: OperatorContext
  protected output!: Output<Out>

  setup(context: OperatorContext, output: Output<Out>): void {
    this.context = context
    this.output = output
  }

  /** Once, before the first element (which waits for a promise); `restored` are this subtask's operator states from the checkpoint (plain data). */
  open(_restored: readonly unknown[]): void | Promise<void> {}

  abstract processElement(value: In, timestamp: number): void

  /** Watermarks never go back. */
  processWatermark(watermark: number): void {
    this.output.emitWatermark(watermark)
  }

  processStatus(idle: boolean): void {
    this.output.emitStatus(idle)
  }

  /** Present when it may hold back its input or its end. The same object at every call. */
  get intake(): Intake | undefined {
    return undefined
  }

  /** The end of all input (after the last watermark of a finished or drained job). */
  endInput(): void {}

  /** At a barrier: operator state as plain data, taken synchronously; a promise delays the acknowledgement, not the records. */
  snapshotState(_checkpointId: number): readonly unknown[] | Promise<readonly unknown[]> {
    return []
  }

  notifyCheckpointComplete(_checkpointId: number): void | Promise<void> {}

  /** After the last call; also when the job fails. */
  close(): void | Promise<void> {}
}

/** An operator whose input is keyed: the subtask sets the key before each element. */
export abstract class KeyedStreamOperator<In, Out> extends StreamOperator<In, Out> {
  protected get keyed(): KeyedStateBackend {
    return this.context.keyed as KeyedStateBackend
  }
}
