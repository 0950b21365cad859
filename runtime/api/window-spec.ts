import { MillraceError, type OutputTag, type Window } from '../core/index.js'
import type { StreamOperator } from '../operators/stream-operator.js'
import { createWindowOperator } from '../operators/window/create-window-operator.js'
import type { Evictor, Trigger, WindowAssigner } from '../operators/window/index.js'
import type { WindowContents } from '../operators/window/window-contents.js'
import type { InternalWindowFunction } from '../operators/window/window-function.js'
import type { Any } from '../plan/index.js'

/** What the steps between `window(...)` and the window function have set. Immutable. */
export interface WindowSpec<T, W extends Window> {
  readonly assigner: WindowAssigner<T, W>
  readonly trigger: Trigger<T, W> | undefined
  readonly evictor: Evictor<T, W> | undefined
  readonly allowedLatenessMs: number
  readonly lateTag: OutputTag<T> | undefined
}

export function windowSpec<T, W extends Window>(assigner: WindowAssigner<T, W>): WindowSpec<T, W> {
  return { assigner, trigger: undefined, evictor: undefined, allowedLatenessMs: 0, lateTag: undefined }
}

/** How a window's elements are kept: reduced one by one, or (with an evictor, or for process alone) all of them. */
export interface WindowComputation<T, Acc, Out, W extends Window> {
  readonly contents: WindowContents<T, Acc>
  readonly windowFunction: InternalWindowFunction<Acc, Out, W>
  /** The same result from all elements, for windows with an evictor. */
  readonly fromElements: InternalWindowFunction<readonly T[], Out, W>
}

/** Throws PLAN_INVALID for combinations that Flink refuses too. */
export function windowOperatorFactory<T, Acc, Out, W extends Window>(
  spec: WindowSpec<T, W>,
  computation: WindowComputation<T, Acc, Out, W>,
): () => StreamOperator<T, Out> {
  const trigger = spec.trigger ?? (spec.assigner.getDefaultTrigger() as Trigger<Any, W>)
  if (spec.assigner.isMerging && !trigger.canMerge()) {
    throw new MillraceError('PLAN_INVALID', {
      what: `${trigger} cannot be used with merging windows`,
      todo: 'Use a trigger whose canMerge() is true and that has onMerge(), such as EventTimeTrigger.',
    })
  }
  if (spec.assigner.isMerging && spec.evictor === undefined && computation.contents.merge === undefined) {
    throw new MillraceError('PLAN_INVALID', {
      what: 'the aggregate function of a merging (session) window has no merge',
      todo: 'Add merge(a, b) to it.',
    })
  }
  if (!Number.isFinite(spec.allowedLatenessMs) || spec.allowedLatenessMs < 0) {
    throw new MillraceError('OPTION_INVALID', {
      what: `allowed lateness is ${spec.allowedLatenessMs}`,
      todo: 'It must be zero or more milliseconds.',
    })
  }
  return () => createWindowOperator({ ...spec, trigger, ...computation })
}
