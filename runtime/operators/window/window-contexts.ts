import { type AnyStateDescriptor, MillraceError, type OutputTag, type Window, type WindowContext, type WindowStateStore } from '../../core/index.js'
import { mergeNamespaces, type Namespace, type StateScope, stateHandle } from '../../state/index.js'
import type { Output } from '../stream-operator.js'
import type { TimerSweep } from '../timer-sweep.js'
import type { MergeableStateDescriptor, OnMergeContext } from './trigger.js'

/** What a trigger sees: time, timers and state of the current key and the window entered last. */
export class OperatorTriggerContext implements OnMergeContext {
  readonly #handles = new Map<string, unknown>()
  /** Windows whose trigger state goes into the current one, during onMerge. */
  mergedNamespaces: readonly Namespace[] = []

  constructor(
    readonly scope: StateScope,
    readonly timers: TimerSweep,
  ) {}

  enter(window: Window): void {
    this.scope.namespace = window
  }

  get currentProcessingTime(): number {
    return this.timers.processingTime.clock.now()
  }
  get currentWatermark(): number {
    return this.timers.currentWatermark
  }
  registerEventTimeTimer(time: number): void {
    this.timers.backend.eventTimers.register(time, this.timers.backend.currentKey, this.scope.namespace)
  }
  registerProcessingTimeTimer(time: number): void {
    this.timers.registerProcessingTimer(time, { key: this.timers.backend.currentKey, namespace: this.scope.namespace })
  }
  deleteEventTimeTimer(time: number): void {
    this.timers.backend.eventTimers.delete(time, this.timers.backend.currentKey, this.scope.namespace)
  }
  deleteProcessingTimeTimer(time: number): void {
    this.timers.backend.processingTimers.delete(time, this.timers.backend.currentKey, this.scope.namespace)
  }
  // biome-ignore lint/suspicious/noExplicitAny: the interface's overloads give the precise handle type
  getPartitionedState(descriptor: AnyStateDescriptor): any {
    let handle = this.#handles.get(descriptor.name)
    if (handle === undefined) {
      handle = stateHandle(this.scope, descriptor)
      this.#handles.set(descriptor.name, handle)
    }
    return handle
  }
  mergePartitionedState(descriptor: MergeableStateDescriptor): void {
    mergeNamespaces(this.scope.backend, descriptor, this.scope.namespace, this.mergedNamespaces)
  }
}

/** What a window function sees of the window that fires. */
export class OperatorWindowContext<W extends Window> implements WindowContext<W> {
  readonly globalState: WindowStateStore
  readonly #windowState: WindowStateStore
  #window!: W

  constructor(
    readonly windowScope: StateScope,
    readonly globalScope: StateScope,
    readonly timers: TimerSweep,
    readonly results: Output<unknown>,
    readonly isMerging: boolean,
  ) {
    this.globalState = new ScopedStateStore(globalScope)
    this.#windowState = new ScopedStateStore(windowScope)
  }

  enter(window: W): void {
    this.#window = window
    this.windowScope.namespace = window
  }

  get window(): W {
    return this.#window
  }
  get windowState(): WindowStateStore {
    if (this.isMerging) {
      throw new MillraceError('STATE_DESCRIPTOR', {
        what: 'per-window state is not available for merging windows',
        todo: 'Use ctx.globalState, as in Flink, or windows that do not merge.',
      })
    }
    return this.#windowState
  }
  get currentWatermark(): number {
    return this.timers.currentWatermark
  }
  get currentProcessingTime(): number {
    return this.timers.processingTime.clock.now()
  }
  output<X>(tag: OutputTag<X>, value: X): void {
    this.results.collectSide(tag.id, value, this.#window.maxTimestamp)
  }
}

class ScopedStateStore implements WindowStateStore {
  readonly #handles = new Map<string, unknown>()
  constructor(readonly scope: StateScope) {}

  // biome-ignore lint/suspicious/noExplicitAny: the interface gives the precise handle type
  #handle(descriptor: AnyStateDescriptor): any {
    let handle = this.#handles.get(descriptor.name)
    if (handle === undefined) {
      handle = stateHandle(this.scope, descriptor)
      this.#handles.set(descriptor.name, handle)
    }
    return handle
  }

  getState: WindowStateStore['getState'] = (descriptor) => this.#handle(descriptor)
  getListState: WindowStateStore['getListState'] = (descriptor) => this.#handle(descriptor)
  getMapState: WindowStateStore['getMapState'] = (descriptor) => this.#handle(descriptor)
  getReducingState: WindowStateStore['getReducingState'] = (descriptor) => this.#handle(descriptor)
  getAggregatingState: WindowStateStore['getAggregatingState'] = (descriptor) => this.#handle(descriptor)
}
