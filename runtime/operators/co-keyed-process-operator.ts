import type { KeyedCoProcessFunction, StateDeclaration } from '../core/index.js'
import { CoFunctionOperator } from './co-function-operator.js'
import type { TimestampedCollector } from './function-operator.js'
import { type KeyedRecordContext, keyedFunctionTimers } from './keyed-process-operator.js'
import { userError } from './user-error.js'

type Fn<K, In1, In2, Out> = KeyedCoProcessFunction<K, In1, In2, Out, StateDeclaration>

/** KeyedCoProcessFunction: both inputs share state and timers by key. */
export class CoKeyedProcessOperator<K, In1, In2, Out> extends CoFunctionOperator<In1, In2, Out, Fn<K, In1, In2, Out>> {
  #collector!: TimestampedCollector<Out>
  #userContext!: KeyedRecordContext<K>

  override open(restored: readonly unknown[]): void {
    const timers = keyedFunctionTimers<K, Out>(this.fn, this.context, this.output)
    this.#collector = timers.collector
    this.#userContext = timers.userContext
    this.sweep = timers.sweep
    super.open(restored)
  }

  processElement(value: In1, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.processElement1(value, this.#userContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'processElement1')
    }
  }

  processElement2(value: In2, timestamp: number): void {
    this.#collector.timestamp = timestamp
    try {
      this.fn.processElement2(value, this.#userContext, this.#collector)
    } catch (thrown) {
      throw userError(thrown, this.context, 'processElement2')
    }
  }
}
