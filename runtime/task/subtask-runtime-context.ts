import type {
  Accumulator,
  AggregatingStateDescriptor,
  AnyStateDescriptor,
  AppendingStateHandle,
  CountAccumulator,
  JobParameters,
  ListState,
  ListStateDescriptor,
  MapState,
  MapStateDescriptor,
  ReducingStateDescriptor,
  RuntimeContext,
  ValueState,
  ValueStateDescriptor,
} from '../core/index.js'
import { MillraceError, type ResourceBindings } from '../core/index.js'
import type { OperatorMetrics } from '../operators/operator-metrics.js'
import type { OperatorContext } from '../operators/stream-operator.js'
import { type KeyedStateBackend, StateScope, stateHandle } from '../state/index.js'
import { physicalName } from './job-resources.js'

type Place = Pick<OperatorContext, 'uid' | 'name' | 'subtaskIndex' | 'parallelism' | 'maxParallelism' | 'attemptNumber'>

/** What rich functions get in `open`. */
export class SubtaskRuntimeContext implements RuntimeContext {
  readonly operatorName: string
  readonly uid: string
  readonly subtaskIndex: number
  readonly parallelism: number
  readonly maxParallelism: number
  readonly attemptNumber: number
  readonly #scope: StateScope | undefined
  readonly #bindings: ResourceBindings | undefined

  constructor(
    readonly jobName: string,
    place: Place,
    readonly parameters: JobParameters,
    readonly metrics: OperatorMetrics,
    backend: KeyedStateBackend | undefined,
    bindings?: ResourceBindings,
  ) {
    this.operatorName = place.name
    this.uid = place.uid
    this.subtaskIndex = place.subtaskIndex
    this.parallelism = place.parallelism
    this.maxParallelism = place.maxParallelism
    this.attemptNumber = place.attemptNumber
    this.#scope = backend && new StateScope(backend)
    this.#bindings = bindings
  }

  physicalName(name: string): string {
    return physicalName(this.#bindings, name)
  }

  addAccumulator<A extends Accumulator<never, unknown>>(name: string, accumulator: A): A {
    return this.metrics.accumulators.addAccumulator(name, accumulator)
  }
  getAccumulator(name: string): Accumulator<never, unknown> | undefined {
    return this.metrics.accumulators.getAccumulator(name)
  }
  getCounter(name: string): CountAccumulator {
    return this.metrics.accumulators.getCounter(name)
  }

  // biome-ignore lint/suspicious/noExplicitAny: the interface gives the precise handle type
  #handle(descriptor: AnyStateDescriptor): any {
    if (this.#scope === undefined) {
      throw new MillraceError('STATE_DESCRIPTOR', {
        what: `state "${descriptor.name}" was asked for by "${this.operatorName}", whose input is not keyed`,
        todo: 'Call keyBy() before the function that uses keyed state.',
        uid: this.uid,
      })
    }
    return stateHandle(this.#scope, descriptor)
  }

  getState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T> {
    return this.#handle(descriptor)
  }
  getListState<T>(descriptor: ListStateDescriptor<T>): ListState<T> {
    return this.#handle(descriptor)
  }
  getMapState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V> {
    return this.#handle(descriptor)
  }
  getReducingState<T>(descriptor: ReducingStateDescriptor<T>): AppendingStateHandle<T, T> {
    return this.#handle(descriptor)
  }
  getAggregatingState<In, Acc, Out>(descriptor: AggregatingStateDescriptor<In, Acc, Out>): AppendingStateHandle<In, Out> {
    return this.#handle(descriptor)
  }
}
