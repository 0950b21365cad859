import type {
  AnyStateDescriptor,
  KeyedProcessFunction,
  OnTimerContext,
  OutputTag,
  StateDeclaration,
  StateHandles,
  TimerService,
} from '../core/index.js'
import { type KeyedStateBackend, StateScope, stateHandle } from '../state/index.js'
import { FunctionOperator, TimestampedCollector } from './function-operator.js'
import { KeyedTimerFiring, type TimerFunction } from './keyed-timer-firing.js'
import { RecordContext } from './process-operator.js'
import type { OperatorContext, Output } from './stream-operator.js'
import { userError } from './user-error.js'

/** KeyedProcessFunction: state, timers and side outputs by key. */
export class KeyedProcessOperator<K, In, Out> extends FunctionOperator<In, Out, KeyedProcessFunction<K, In, Out, StateDeclaration>> {
  #collector!: TimestampedCollector<Out>
  #userContext!: KeyedRecordContext<K>

  override open(restored: readonly unknown[]): void {
    const timers = keyedFunctionTimers<K, Out>(this.fn, this.context, this.output)
    this.#collector = timers.collector
    this.#userContext = timers.userContext
    this.sweep = timers.sweep
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
}

/** The timers of a keyed function, of one input or of two, and the context it is called with, which holds the states it declares. */
export function keyedFunctionTimers<K, Out>(
  fn: TimerFunction<KeyedRecordContext<K>, Out> & { readonly state?: StateDeclaration },
  context: OperatorContext,
  output: Output<Out>,
): KeyedTimerFiring<KeyedRecordContext<K>, Out> {
  const keyed = context.keyed as KeyedStateBackend
  const collector = new TimestampedCollector(output)
  const handles = declaredStates(keyed, fn.state ?? {})
  return new KeyedTimerFiring(fn, context, collector, (timers) => new KeyedRecordContext(collector, output, timers, keyed, handles))
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
