import { MAX_WATERMARK, type OutputTag, type Window } from '../../core/index.js'
import { codecOf, IMPLIED_TIMERS_TABLE, type Namespace, type StateEntry, StateScope, type StateTable, type Timer } from '../../state/index.js'
import { TimestampedCollector } from '../function-operator.js'
import { StreamOperator } from '../stream-operator.js'
import { TimerSweep, type TimerTarget } from '../timer-sweep.js'
import { userError } from '../user-error.js'
import { evictAndEmit } from './evict-and-emit.js'
import type { Evictor } from './evictor.js'
import { isFire, isPurge, type Trigger, type TriggerResult } from './trigger.js'
import type { WindowAssigner } from './window-assigner.js'
import type { WindowContents } from './window-contents.js'
import { OperatorTriggerContext, OperatorWindowContext } from './window-contexts.js'
import type { InternalWindowFunction } from './window-function.js'

export interface WindowOperatorOptions<In, Acc, Out, W extends Window> {
  readonly assigner: WindowAssigner<In, W>
  readonly trigger: Trigger<In, W>
  readonly contents: WindowContents<In, Acc>
  readonly windowFunction: InternalWindowFunction<Acc, Out, W>
  readonly allowedLatenessMs: number
  readonly lateTag: OutputTag<In> | undefined
  /** With an evictor the contents are a list of timestamped elements, and the window function takes an array of elements. */
  readonly evictor?: Evictor<In, W> | undefined
}

/** Windows that do not merge (Flink's WindowOperator, and EvictingWindowOperator when an evictor is given). */
export class WindowOperator<In, Acc, Out, W extends Window> extends StreamOperator<In, Out> implements TimerTarget {
  protected readonly assigner: WindowAssigner<In, W>
  protected readonly trigger: Trigger<In, W>
  protected readonly contents: WindowContents<In, Acc>
  protected readonly windowFunction: InternalWindowFunction<Acc, Out, W>
  protected readonly allowedLatenessMs: number
  protected table!: StateTable<Acc>
  protected timers!: TimerSweep
  protected collector!: TimestampedCollector<Out>
  protected triggerContext!: OperatorTriggerContext
  protected windowContext!: OperatorWindowContext<W>
  readonly #lateTag: OutputTag<In> | undefined
  readonly #evictor: Evictor<In, W> | undefined
  readonly #isEventTime: boolean
  readonly #assignerContext = { currentProcessingTime: 0 }

  constructor(options: WindowOperatorOptions<In, Acc, Out, W>) {
    super()
    this.assigner = options.assigner
    this.trigger = options.trigger
    this.contents = options.contents
    this.windowFunction = options.windowFunction
    this.allowedLatenessMs = options.allowedLatenessMs
    this.#lateTag = options.lateTag
    this.#evictor = options.evictor
    this.#isEventTime = options.assigner.isEventTime
  }

  override open(): void | Promise<void> {
    const backend = this.keyed
    backend.namespaceCodec = {
      toData: (window) => this.assigner.windowToData(window as W),
      fromData: (data) => this.assigner.windowFromData(data),
    }
    this.timers = new TimerSweep(backend, this.context.processingTime, this, this.output)
    this.sweep = this.timers
    this.timers.open()
    this.table = this.openTable()
    this.collector = new TimestampedCollector(this.output)
    this.triggerContext = new OperatorTriggerContext(new StateScope(backend), this.timers)
    this.windowContext = new OperatorWindowContext<W>(
      new StateScope(backend),
      new StateScope(backend),
      this.timers,
      this.output,
      this.assigner.isMerging,
    )
    this.windowFunction.open?.(this.context.runtime)
  }

  protected openTable(): StateTable<Acc> {
    const table = this.keyed.table(this.contents.descriptor) as StateTable<Acc>
    if (!this.keyed.hasRestored(IMPLIED_TIMERS_TABLE)) return table
    // Rows of a former run whose windows fired by the default trigger (plain-window-operator.ts): now their timers are needed.
    const former = this.keyed.tableWith(IMPLIED_TIMERS_TABLE, codecOf(this.contents.descriptor)) as StateTable<Acc>
    for (const row of [...former.entries()]) {
      this.keyed.currentKey = row.key
      table.insert(row.key, row.namespace, row.value)
      former.remove(row)
      this.keyed.eventTimers.register((row.namespace as W).maxTimestamp, row.key, row.namespace)
      this.registerCleanup(row.namespace as W)
    }
    return table
  }

  processElement(value: In, timestamp: number): void {
    let windows: readonly W[]
    if (!this.#isEventTime) this.#assignerContext.currentProcessingTime = this.context.processingTime.clock.now()
    try {
      windows = this.assigner.assignWindows(value, timestamp, this.#assignerContext)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the window assigner')
    }
    if (!this.addToWindows(windows, value, timestamp)) this.#late(value, timestamp)
  }

  /** False when all the element's windows are over. */
  protected addToWindows(windows: readonly W[], value: In, timestamp: number): boolean {
    let added = false
    for (let i = 0; i < windows.length; i++) {
      const window = windows[i]
      if (this.isWindowLate(window)) continue
      added = true
      this.#consultTrigger(this.store(window, value, timestamp), window, value, timestamp)
    }
    return added
  }

  /** Adds an element to the contents of the current key under `namespace`. */
  protected store(namespace: W, value: In, timestamp: number): StateEntry<Acc> {
    const key = this.keyed.currentKey
    const entry = this.table.get(key, namespace)
    try {
      if (entry === null) return this.table.insert(key, namespace, this.contents.first(value, timestamp))
      entry.value = this.contents.add(entry.value, value, timestamp)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the window aggregation')
    }
    if (this.contents.appends) this.table.touchAppended(entry)
    else this.table.touch(entry)
    return entry
  }

  #consultTrigger(entry: StateEntry<Acc>, window: W, value: In, timestamp: number): void {
    const result = this.ask(window, (trigger, context) => trigger.onElement(value, timestamp, window, context))
    if (isFire(result)) this.emit(window, entry)
    if (isPurge(result)) this.table.remove(entry)
    this.registerCleanup(window)
  }

  /** Calls the trigger with its context set to the current key and `window`. */
  protected ask(window: W, call: (trigger: Trigger<In, W>, context: OperatorTriggerContext) => TriggerResult): TriggerResult {
    this.triggerContext.enter(window)
    try {
      return call(this.trigger, this.triggerContext)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the trigger')
    }
  }

  protected isWindowLate(window: W): boolean {
    return this.#isEventTime && this.cleanupTime(window) <= this.timers.currentWatermark
  }

  protected cleanupTime(window: W): number {
    return this.#isEventTime ? window.maxTimestamp + this.allowedLatenessMs : window.maxTimestamp
  }

  protected registerCleanup(window: W): void {
    const time = this.cleanupTime(window)
    if (time === MAX_WATERMARK) return // a global window is never dropped
    if (this.#isEventTime) this.keyed.eventTimers.register(time, this.keyed.currentKey, window)
    else this.timers.registerProcessingTimer(time, { key: this.keyed.currentKey, namespace: window })
  }

  #late(value: In, timestamp: number): void {
    if (!this.#isEventTime || timestamp + this.allowedLatenessMs > this.timers.currentWatermark) return
    if (this.#lateTag === undefined) this.context.metrics.late++
    else this.output.collectSide(this.#lateTag.id, value, timestamp)
  }

  onEventTime(timer: Timer): void {
    const window = timer.namespace as W
    this.onTimer(window, () => this.ask(window, (trigger, context) => trigger.onEventTime(timer.time, window, context)))
    if (this.#isEventTime && timer.time === this.cleanupTime(window)) this.clearWindow(window)
  }

  onProcessingTime(timer: Timer): void {
    const window = timer.namespace as W
    this.onTimer(window, () => this.ask(window, (trigger, context) => trigger.onProcessingTime(timer.time, window, context)))
    if (!this.#isEventTime && timer.time === this.cleanupTime(window)) this.clearWindow(window)
  }

  protected onTimer(window: W, decide: () => TriggerResult): void {
    const namespace = this.stateWindow(window)
    if (namespace === undefined) return
    const result = decide()
    const entry = this.table.get(this.keyed.currentKey, namespace)
    if (entry === null) return
    if (isFire(result)) this.emit(window, entry)
    if (isPurge(result)) this.table.remove(entry)
  }

  /** Where the contents of `window` stand; undefined when the window is gone. Merging windows keep them elsewhere. */
  protected stateWindow(window: W): Namespace | undefined {
    return window
  }

  protected emit(window: W, entry: StateEntry<Acc>): void {
    this.collector.timestamp = window.maxTimestamp
    this.windowContext.enter(window)
    const key = this.keyed.currentUserKey
    try {
      if (this.#evictor === undefined) this.windowFunction.process(key, this.windowContext, entry.value, this.collector)
      else evictAndEmit(this.#evictor, this.table, entry, key, this.windowFunction, this.windowContext, this.collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'the window function')
    }
  }

  protected clearWindow(window: W): void {
    const namespace = this.stateWindow(window)
    if (namespace !== undefined) {
      const entry = this.table.get(this.keyed.currentKey, namespace)
      if (entry !== null) this.table.remove(entry)
    }
    this.triggerContext.enter(window)
    this.trigger.clear(window, this.triggerContext)
    if (this.windowFunction.clear !== undefined) {
      this.windowContext.enter(window)
      this.windowFunction.clear(this.windowContext)
    }
  }

  override close(): void {
    this.timers?.close()
    this.windowFunction.close?.()
  }
}
