import {
  type AnyStateDescriptor,
  type KeyedProcessFunction,
  NO_TIMESTAMP,
  type OnTimerContext,
  type OutputTag,
  type StateDeclaration,
  type StateHandles,
  type TimerService,
} from '../core/index.js'
import { type KeyedStateBackend, StateScope, stateHandle, type Timer } from '../state/index.js'
import { TimestampedCollector } from './function-operator.js'
import { FunctionState } from './function-state.js'
import { RecordContext } from './process-operator.js'
import { KeyedStreamOperator, type Output } from './stream-operator.js'
import { TimerSweep, type TimerTarget } from './timer-sweep.js'
import { userError } from './user-error.js'

/** KeyedProcessFunction: state, timers and side outputs by key. */
export class KeyedProcessOperator<K, In, Out> extends KeyedStreamOperator<In, Out> implements TimerTarget {
  #collector!: TimestampedCollector<Out>
  #userContext!: KeyedRecordContext<K>
  #timers!: TimerSweep
  #state: FunctionState | undefined

  constructor(readonly fn: KeyedProcessFunction<K, In, Out, StateDeclaration>) {
    super()
  }

  override open(restored: readonly unknown[]): void {
    this.#collector = new TimestampedCollector(this.output)
    this.#timers = new TimerSweep(this.keyed, this.context.processingTime, this)
    this.#timers.open()
    this.#userContext = new KeyedRecordContext(
      this.#collector,
      this.output,
      new KeyedTimerService(this.keyed, this.#timers),
      this.keyed,
      declaredStates(this.keyed, this.fn.state ?? {}),
    )
    this.#state = FunctionState.of(this.fn, this.context, restored)
    this.fn.open?.(this.context.runtime)
  }

  override snapshotState(checkpointId: number): readonly unknown[] {
    return this.#state?.snapshot(checkpointId) ?? []
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
    this.fn.close?.()
  }
}

/** What a keyed process function sees of the current record or timer. */
export class KeyedRecordContext<K> extends RecordContext implements OnTimerContext<K, StateDeclaration> {
  timeDomain: OnTimerContext<K>['timeDomain'] = 'event-time'
  #timerTime: number | undefined

  constructor(
    collector: TimestampedCollector<never>,
    results: Output<unknown>,
    timerService: TimerService,
    readonly backend: KeyedStateBackend,
    readonly state: StateHandles<StateDeclaration>,
  ) {
    super(collector, results, timerService)
  }

  get currentKey(): K {
    return this.backend.currentUserKey as K
  }

  /** A timer's time is the timestamp and that of side outputs in either domain, while main results of processing-time timers have none (Flink's OnTimerContextImpl). */
  enterTimer(time: number, timeDomain: OnTimerContext<K>['timeDomain']): void {
    this.#timerTime = time
    this.timeDomain = timeDomain
  }

  leaveTimer(): void {
    this.#timerTime = undefined
  }

  override get timestamp(): number | null {
    return this.#timerTime ?? super.timestamp
  }

  override output<X>(tag: OutputTag<X>, value: X): void {
    this.results.collectSide(tag.id, value, this.#timerTime ?? this.collector.timestamp)
  }
}

/** Timers of the current key. */
export class KeyedTimerService implements TimerService {
  constructor(
    readonly backend: KeyedStateBackend,
    readonly timers: TimerSweep,
  ) {}

  currentProcessingTime(): number {
    return this.timers.processingTime.clock.now()
  }
  currentWatermark(): number {
    return this.timers.currentWatermark
  }
  registerEventTimeTimer(time: number): void {
    this.backend.eventTimers.register(checkedTime(time), this.backend.currentKey, null)
  }
  registerProcessingTimeTimer(time: number): void {
    this.timers.registerProcessingTimer(checkedTime(time), { key: this.backend.currentKey, namespace: null })
  }
  deleteEventTimeTimer(time: number): void {
    this.backend.eventTimers.delete(time, this.backend.currentKey, null)
  }
  deleteProcessingTimeTimer(time: number): void {
    this.backend.processingTimers.delete(time, this.backend.currentKey, null)
  }
}

function checkedTime(time: number): number {
  if (typeof time !== 'number' || Number.isNaN(time)) throw new Error(`a timer's time must be a number of milliseconds, not ${String(time)}`)
  return time
}

/** Handles for the states declared beside a function; a descriptor without a name takes the property's. */
export function declaredStates(backend: KeyedStateBackend, declared: StateDeclaration): StateHandles<StateDeclaration> {
  const scope = new StateScope(backend)
  return Object.fromEntries(
    Object.entries(declared).map(([name, descriptor]) => [name, stateHandle(scope, named(descriptor, name))]),
  ) as StateHandles<StateDeclaration>
}

export function named(descriptor: AnyStateDescriptor, name: string): AnyStateDescriptor {
  if (descriptor.name !== '') return descriptor
  return Object.assign(Object.create(Object.getPrototypeOf(descriptor)), descriptor, { name })
}
