import type { AnyStateDescriptor, AppendingStateHandle, ReducingStateDescriptor, ValueState, Window } from '../../runtime/core/index.js'
import type { MergeableStateDescriptor, OnMergeContext } from '../../runtime/operators/window/index.js'

/** A trigger's surroundings for one key and many windows: timers and state as plain maps, times set by hand. */
export class FakeTriggerContext {
  currentProcessingTime = 0
  currentWatermark = Number.NEGATIVE_INFINITY
  readonly #states = new Map<string, unknown>()
  readonly #eventTimers = new Map<string, Set<number>>()
  readonly #processingTimers = new Map<string, Set<number>>()

  /** The context a trigger gets for `window`; `merged` are those that became it. */
  for(window: Window, merged: readonly Window[] = []): OnMergeContext {
    const context = this
    const states = this.#states
    const key = (of: Window, descriptor: AnyStateDescriptor) => `${of.id}|${descriptor.name}`
    return {
      get currentProcessingTime() {
        return context.currentProcessingTime
      },
      get currentWatermark() {
        return context.currentWatermark
      },
      registerEventTimeTimer: (time) => void context.#timersOf(context.#eventTimers, window).add(time),
      registerProcessingTimeTimer: (time) => void context.#timersOf(context.#processingTimers, window).add(time),
      deleteEventTimeTimer: (time) => void context.#timersOf(context.#eventTimers, window).delete(time),
      deleteProcessingTimeTimer: (time) => void context.#timersOf(context.#processingTimers, window).delete(time),
      // biome-ignore lint/suspicious/noExplicitAny: the interface's overloads give the precise handle type
      getPartitionedState(descriptor: AnyStateDescriptor): any {
        const at = key(window, descriptor)
        if (descriptor.kind === 'value') {
          return {
            value: () => states.get(at) ?? null,
            update: (value) => void states.set(at, value),
            clear: () => void states.delete(at),
          } satisfies ValueState<unknown>
        }
        if (descriptor.kind === 'reducing') {
          return {
            get: () => states.get(at) ?? null,
            add: (value) => void states.set(at, states.has(at) ? descriptor.reduceFunction(states.get(at), value) : value),
            clear: () => void states.delete(at),
          } satisfies AppendingStateHandle<unknown, unknown>
        }
        throw new Error(`no fake for ${descriptor.kind} state`)
      },
      mergePartitionedState(descriptor: MergeableStateDescriptor) {
        const target: AppendingStateHandle<unknown, unknown> = this.getPartitionedState(descriptor as ReducingStateDescriptor<unknown>)
        for (const source of merged) {
          const at = key(source, descriptor)
          if (states.has(at)) target.add(states.get(at))
          states.delete(at)
        }
      },
    }
  }

  eventTimers(window: Window): number[] {
    return [...this.#timersOf(this.#eventTimers, window)].sort((a, b) => a - b)
  }

  processingTimers(window: Window): number[] {
    return [...this.#timersOf(this.#processingTimers, window)].sort((a, b) => a - b)
  }

  /** How many states hold something: 0 after every window was cleared. */
  get stateCount(): number {
    return this.#states.size
  }

  #timersOf(all: Map<string, Set<number>>, window: Window): Set<number> {
    let timers = all.get(window.id)
    if (timers === undefined) {
      timers = new Set()
      all.set(window.id, timers)
    }
    return timers
  }
}
