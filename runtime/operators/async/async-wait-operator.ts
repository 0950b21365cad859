import type { AsyncFunction, AsyncRetryStrategy } from '../../core/index.js'
import { MillraceError } from '../../core/index.js'
import { FunctionState } from '../function-state.js'
import { type Intake, type Output, StreamOperator } from '../stream-operator.js'
import { userError } from '../user-error.js'
import { Attempt, type Outcome } from './attempt.js'
import { OrderedQueue } from './ordered-queue.js'
import { PendingElement, type PendingQueue } from './pending-element.js'
import { isPendingState, pendingState, restoredPending } from './pending-state.js'
import { UnorderedQueue } from './unordered-queue.js'

export interface AsyncWaitOptions<Out> {
  readonly mode: 'ordered' | 'unordered'
  /** Milliseconds of processing time for each element, over all tries; 0: no limit. */
  readonly timeoutMs: number
  /** Elements and watermarks that may be pending before the input is held back. */
  readonly capacity: number
  readonly retry: AsyncRetryStrategy<Out> | undefined
}

/** The calls for one element. */
interface Call<In, Out> {
  readonly element: PendingElement<In, Out>
  /** When it times out, by the subtask's clock. */
  readonly deadline: number
  /** Tries after the first. */
  retries: number
  /** Takes back the next try, which waits for its delay. */
  cancelRetry: (() => void) | undefined
  timedOut: boolean
}

/**
 * Asynchronous calls for the elements of a stream (Flink's AsyncWaitOperator).
 *
 * I1  Outcomes are taken on the subtask's own turn, whatever thread of promises they come from.
 * I2  A watermark leaves after all elements before it and before all elements after it.
 * I3  The end of the input waits for all that is pending, retries included (Flink, whose timers stop there, tries once more without delay).
 * I4  What has not left is in the snapshot, and is called again after a restore.
 */
export class AsyncWaitOperator<In, Out> extends StreamOperator<In, Out> implements Intake {
  #queue: PendingQueue<In, Out>
  /** Open calls; all have the same time-out, so their order is that of their deadlines. */
  readonly #calls = new Set<Call<In, Out>>()
  #arrived: { readonly call: Call<In, Out>; readonly outcome: Outcome<Out>; readonly final: boolean }[] = []
  /** What was restored and waits for room. */
  #restored: (PendingElement<In, Out> | number)[] = []
  #cancelDeadline: (() => void) | undefined
  #state: FunctionState | undefined
  #idle = false
  readonly #emitted: Pick<Output<Out>, 'collect' | 'emitWatermark'> = {
    collect: (value, timestamp) => this.output.collect(value, timestamp),
    emitWatermark: (watermark) => {
      if (!this.#idle) this.output.emitWatermark(watermark)
    },
  }

  constructor(
    readonly fn: AsyncFunction<In, Out>,
    readonly options: AsyncWaitOptions<Out>,
  ) {
    super()
    this.#queue = options.mode === 'ordered' ? new OrderedQueue() : new UnorderedQueue()
  }

  override get intake(): Intake {
    return this
  }

  get blocked(): boolean {
    return this.#restored.length > 0 || this.#queue.size >= this.options.capacity
  }

  get draining(): boolean {
    return this.#restored.length > 0 || this.#queue.size > 0
  }

  override open(restored: readonly unknown[]): void {
    this.#state = FunctionState.of(this.fn, this.context, restored)
    this.fn.open?.(this.context.runtime)
    this.#restored = restored.filter(isPendingState).flatMap((state) => restoredPending<In, Out>(state, this.context.parallelism))
    this.#takeRestored()
  }

  processElement(value: In, timestamp: number): void {
    this.#start(new PendingElement<In, Out>(value, timestamp))
  }

  override processWatermark(watermark: number): void {
    this.#queue.addWatermark(watermark)
    this.#queue.emit(this.#emitted)
  }

  /** At once, as in Flink, whose outputs drop watermarks while they are idle: one that was pending then is overtaken and lost. */
  override processStatus(idle: boolean): void {
    this.#idle = idle
    super.processStatus(idle)
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    const pending = [...this.#queue.pending(), ...this.#restored]
    return [...(this.#state?.snapshot(checkpointId) ?? []), ...pending.map((item) => pendingState(item, this.context))]
  }

  override close(): void {
    this.#cancelDeadline?.()
    for (const call of this.#calls) call.cancelRetry?.()
    this.#calls.clear()
    this.fn.close?.()
  }

  #takeRestored(): void {
    while (this.#restored.length > 0 && this.#queue.size < this.options.capacity) {
      const next = this.#restored.shift() as PendingElement<In, Out> | number
      if (typeof next === 'number') this.processWatermark(next)
      else this.#start(next)
    }
  }

  #start(element: PendingElement<In, Out>): void {
    const { timeoutMs } = this.options
    const deadline = timeoutMs === 0 ? Number.POSITIVE_INFINITY : this.context.processingTime.clock.now() + timeoutMs
    const call: Call<In, Out> = { element, deadline, retries: 0, cancelRetry: undefined, timedOut: false }
    this.#queue.add(element)
    this.#calls.add(call)
    if (timeoutMs > 0 && this.#cancelDeadline === undefined) this.#armDeadline()
    this.#try(call)
  }

  #try(call: Call<In, Out>): void {
    const { fn } = this
    const attempt = new Attempt<Out>((outcome) => this.#report(call, outcome, false))
    attempt.call((value: In, future) => fn.asyncInvoke(value, future), call.element.value, fn.asyncInvoke.length >= 2)
  }

  /** I1: only noted here. */
  #report(call: Call<In, Out>, outcome: Outcome<Out>, final: boolean): void {
    this.#arrived.push({ call, outcome, final })
    if (this.#arrived.length === 1) this.context.processingTime.soon(() => this.#takeArrived())
  }

  #takeArrived(): void {
    const arrived = this.#arrived
    this.#arrived = []
    for (const { call, outcome, final } of arrived) {
      if (!this.#calls.has(call)) continue // the time-out, or the call, was quicker
      if (!final && this.#wantsRetry(call, outcome)) this.#retryLater(call)
      else this.#finish(call, outcome)
    }
    this.#queue.emit(this.#emitted)
    this.#takeRestored()
  }

  #finish(call: Call<In, Out>, outcome: Outcome<Out>): void {
    if ('error' in outcome) throw userError(outcome.error, this.context, 'the asynchronous call for an element')
    call.cancelRetry?.()
    this.#calls.delete(call)
    call.element.results = outcome.results
    this.#queue.completed(call.element)
  }

  // --- retries -----------------------------------------------------------------------------------------------------------

  #wantsRetry(call: Call<In, Out>, outcome: Outcome<Out>): boolean {
    const { retry } = this.options
    if (retry === undefined || call.timedOut || call.retries >= retry.maxAttempts) return false
    try {
      return ('error' in outcome ? retry.ifException?.(outcome.error) : retry.ifResult?.(outcome.results)) ?? false
    } catch (thrown) {
      throw userError(thrown, this.context, 'a predicate of the retry strategy')
    }
  }

  #retryLater(call: Call<In, Out>): void {
    const { processingTime } = this.context
    call.retries++
    const delayMs = this.options.retry?.backoffMs(call.retries) ?? 0
    call.cancelRetry = processingTime.schedule(processingTime.clock.now() + delayMs, () => {
      call.cancelRetry = undefined
      this.#try(call)
    })
  }

  // --- time-outs ---------------------------------------------------------------------------------------------------------

  /** One timer for all calls, set for the first that has not timed out. */
  #armDeadline(): void {
    this.#cancelDeadline = undefined
    for (const { timedOut, deadline } of this.#calls) {
      if (timedOut) continue
      this.#cancelDeadline = this.context.processingTime.schedule(deadline, () => this.#expire())
      return
    }
  }

  #expire(): void {
    const now = this.context.processingTime.clock.now()
    for (const call of [...this.#calls]) {
      if (call.deadline > now) break
      if (!call.timedOut) this.#timeOut(call)
    }
    this.#armDeadline()
  }

  #timeOut(call: Call<In, Out>): void {
    call.timedOut = true
    call.cancelRetry?.()
    call.cancelRetry = undefined
    const timeout = this.fn.timeout
    if (timeout === undefined) throw this.#tookTooLong()
    const attempt = new Attempt<Out>((outcome) => this.#report(call, outcome, true))
    attempt.call((value: In, future) => timeout.call(this.fn, value, future), call.element.value, timeout.length >= 2)
  }

  #tookTooLong(): MillraceError {
    const { name, uid } = this.context
    return new MillraceError('ASYNC_TIMEOUT', {
      what: `an asynchronous call did not come to an end within ${this.options.timeoutMs} ms`,
      where: `operator "${name}" (uid ${uid})`,
      todo: 'Raise timeoutMs, lower capacity if the outside system is overloaded, or give the function timeout(value, resultFuture).',
      uid,
    })
  }
}
