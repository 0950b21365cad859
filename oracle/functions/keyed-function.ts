import type { KeyedProcessFunction, StateDeclaration } from '../../runtime/index.js'
import type { Ev } from '../element.js'

// biome-ignore lint/suspicious/noExplicitAny: functions with different states
export type AnyKeyedProcessFunction = KeyedProcessFunction<string, Ev, unknown, any>

/** For the inference of a function's states. */
export function keyedFunction<S extends StateDeclaration>(fn: KeyedProcessFunction<string, Ev, unknown, S>): AnyKeyedProcessFunction {
  return fn
}
