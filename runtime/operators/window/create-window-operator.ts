import type { OutputTag, Window } from '../../core/index.js'
import type { StreamOperator } from '../stream-operator.js'
import type { Evictor } from './evictor.js'
import { MergingWindowOperator } from './merging-window-operator.js'
import { isPlain, PlainWindowOperator } from './plain-window-operator.js'
import type { Trigger } from './trigger.js'
import type { MergingWindowAssigner, WindowAssigner } from './window-assigner.js'
import { timestampedContents, type WindowContents } from './window-contents.js'
import type { InternalWindowFunction } from './window-function.js'
import { WindowOperator, type WindowOperatorOptions } from './window-operator.js'

export interface WindowOperatorSpec<In, Acc, Out, W extends Window> {
  readonly assigner: WindowAssigner<In, W>
  readonly trigger: Trigger<In, W>
  readonly evictor: Evictor<In, W> | undefined
  readonly allowedLatenessMs: number
  readonly lateTag: OutputTag<In> | undefined
  readonly contents: WindowContents<In, Acc>
  readonly windowFunction: InternalWindowFunction<Acc, Out, W>
  readonly fromElements: InternalWindowFunction<readonly In[], Out, W>
}

/** The window operator that a specification needs: plain, merging, or with an evictor. */
export function createWindowOperator<In, Acc, Out, W extends Window>(spec: WindowOperatorSpec<In, Acc, Out, W>): StreamOperator<In, Out> {
  return spec.evictor === undefined
    ? build(spec)
    : build({ ...spec, contents: timestampedContents<In>(), windowFunction: spec.fromElements as never })
}

function build<In, Acc, Out, W extends Window>(spec: WindowOperatorOptions<In, Acc, Out, W>): StreamOperator<In, Out> {
  if (spec.assigner.isMerging) return new MergingWindowOperator({ ...spec, assigner: spec.assigner as MergingWindowAssigner<In, W> })
  return isPlain(spec) ? new PlainWindowOperator(spec) : new WindowOperator(spec)
}
