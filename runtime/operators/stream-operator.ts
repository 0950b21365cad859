import type { ClientBatch, RuntimeContext } from '../core/index.js'
import type { Clock } from '../ports/index.js'
import type { KeyedStateBackend } from '../state/keyed-state-backend.js'
import { WholeState } from '../state/operator-state-changes.js'
import type { OperatorMetrics } from './operator-metrics.js'
import type { TimerSweep } from './timer-sweep.js'

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
  readonly #whole = new WholeState()
  /** The timers of an operator that has any; watermarks pass through their sweep. */
  protected sweep: TimerSweep | undefined

  setup(context: OperatorContext, output: Output<Out>): void {
    this.context = context
    this.output = output
  }

  /** Once, before the first element (which waits for a promise); `restored` are this subtask's operator states from the checkpoint (plain data). */
  open(_restored: readonly unknown[]): void | Promise<void> {}

  abstract processElement(value: In, timestamp: number): void

  /** State and timers of an operator on keyed streams: the subtask sets the key before each element. */
  protected get keyed(): KeyedStateBackend {
    return this.context.keyed as KeyedStateBackend
  }

  /** Watermarks never go back. While a sweep is pending the same one again goes on with it. */
  processWatermark(watermark: number): void {
    if (this.sweep === undefined) this.output.emitWatermark(watermark)
    else this.sweep.processWatermark(watermark)
  }

  processStatus(idle: boolean): void {
    if (this.sweep === undefined) this.output.emitStatus(idle)
    else this.sweep.processStatus(idle)
  }

  /**
   * A sweep of its timers stopped because the backend's budget was used up (`KeyedStateBackend.sweepBudget`). The watermark that caused it
   * has not passed: no element and no later watermark may come before the sweep has gone on to its end. What has fired is gone from the
   * state, so a snapshot in between is one like any other.
   */
  get sweepPending(): boolean {
    return this.context.keyed?.sweepPending ?? false
  }

  /** Goes on with a sweep that stopped, of event timers, processing timers or both, as far as the budget goes. */
  resumeSweep(): void {
    this.sweep?.resume(this)
  }

  /** It looks at rows of other keys than the current one, so all of them must be in memory. */
  get needsWholeState(): boolean {
    return false
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

  /**
   * What changed in the operator's state since the last call, as plain data for `applyOperatorStateChanges`; undefined when nothing did. The
   * first call tells what changed since `open(restored)`, given again here; without it an operator may tell all its state. It is a
   * snapshot, made by `snapshotState` or as that does, so it stands in the place of one. A promise is to be waited for before the next call.
   */
  takeStateChanges(checkpointId: number, restored?: readonly unknown[]): unknown {
    const elements = this.snapshotState(checkpointId)
    if (elements instanceof Promise) return elements.then((settled) => this.#whole.changes(settled, restored))
    return this.#whole.changes(elements as readonly unknown[], restored)
  }

  notifyCheckpointComplete(_checkpointId: number): void | Promise<void> {}

  /** After the last call; also when the job fails. */
  close(): void | Promise<void> {}
}
