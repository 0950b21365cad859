import type {
  AggregatingStateDescriptor,
  AnyStateDescriptor,
  AppendingStateHandle,
  ListState,
  ListStateDescriptor,
  MapState,
  MapStateDescriptor,
  ReducingStateDescriptor,
  ValueState,
  ValueStateDescriptor,
  Window,
} from '../../core/index.js'
import { MillraceError } from '../../core/index.js'

/** What a trigger decides (Flink's TriggerResult). A bit set: bit 0 evaluates the window and emits, bit 1 drops its contents. */
export const TriggerResult = {
  /** Nothing happens. */
  CONTINUE: 0,
  /** The window function runs; the contents stay. */
  FIRE: 1,
  /** The contents are dropped without running the window function; the window itself and the trigger's state stay. */
  PURGE: 2,
  /** The window function runs, then the contents are dropped. */
  FIRE_AND_PURGE: 3,
} as const
export type TriggerResult = (typeof TriggerResult)[keyof typeof TriggerResult]

/** Whether the window function is to run. */
export function isFire(result: TriggerResult): boolean {
  return (result & TriggerResult.FIRE) !== 0
}

/** Whether the window's contents are to be dropped. */
export function isPurge(result: TriggerResult): boolean {
  return (result & TriggerResult.PURGE) !== 0
}

/** State descriptors that can be merged when windows merge. */
export type MergeableStateDescriptor =
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | ListStateDescriptor<any>
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | ReducingStateDescriptor<any>
  // biome-ignore lint/suspicious/noExplicitAny: a descriptor of any element type
  | AggregatingStateDescriptor<any, any, any>

/** What a trigger can ask of the window operator, for the current key and window. */
export interface TriggerContext {
  /** Epoch milliseconds. */
  readonly currentProcessingTime: number
  /** -Infinity before the first watermark, Infinity after the last. */
  readonly currentWatermark: number
  /** Calls `onEventTime(time, ..)` once the watermark reaches `time`. The same time registered twice fires once. */
  registerEventTimeTimer(time: number): void
  registerProcessingTimeTimer(time: number): void
  /** Nothing happens when there is no such timer. */
  deleteEventTimeTimer(time: number): void
  deleteProcessingTimeTimer(time: number): void
  /** State of the trigger for this key and window. It lives until `clear`. */
  getPartitionedState<T>(descriptor: ValueStateDescriptor<T>): ValueState<T>
  getPartitionedState<T>(descriptor: ListStateDescriptor<T>): ListState<T>
  getPartitionedState<K, V>(descriptor: MapStateDescriptor<K, V>): MapState<K, V>
  getPartitionedState<T>(descriptor: ReducingStateDescriptor<T>): AppendingStateHandle<T, T>
  getPartitionedState<In, Acc, Out>(descriptor: AggregatingStateDescriptor<In, Acc, Out>): AppendingStateHandle<In, Out>
}

/** What a trigger may ask for while windows merge (Flink's Trigger.OnMergeContext). */
export interface OnMergeContext extends TriggerContext {
  /** Moves the state of the merged windows into that of the window they merged to. */
  mergePartitionedState(descriptor: MergeableStateDescriptor): void
}

/**
 * Decides when a window is evaluated (Flink's Trigger). A trigger object keeps nothing for single windows in its own
 * fields: one object serves all keys and windows; such things belong into `ctx.getPartitionedState`.
 */
export abstract class Trigger<in T, in W extends Window> {
  /** Descriptors of the state this trigger keeps, for inspection of the plan. */
  readonly states?: readonly AnyStateDescriptor[]

  /** `timestamp` is the element's (epoch ms), -Infinity when it has none. */
  abstract onElement(element: T, timestamp: number, window: W, ctx: TriggerContext): TriggerResult

  /** A processing-time timer of this trigger fired; `time` is the time it was registered for. */
  abstract onProcessingTime(time: number, window: W, ctx: TriggerContext): TriggerResult

  /** An event-time timer of this trigger fired; `time` is the time it was registered for. */
  abstract onEventTime(time: number, window: W, ctx: TriggerContext): TriggerResult

  /** Whether the trigger can be used with merging (session) windows; then `onMerge` must be overridden. */
  canMerge(): boolean {
    return false
  }

  /** Several windows have become `window`: merge their state and register timers for the new window. */
  onMerge(_window: W, _ctx: OnMergeContext): void {
    throw new MillraceError('PLAN_INVALID', {
      what: `${this} does not support merging windows`,
      todo: 'Override canMerge and onMerge, or use a trigger that merges, such as EventTimeTrigger or CountTrigger.',
    })
  }

  /** The window is dropped: delete its timers and clear its state. */
  abstract clear(window: W, ctx: TriggerContext): void

  toString(): string {
    return `${this.constructor.name}()`
  }
}
