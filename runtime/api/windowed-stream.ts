import type { AggregateFunction, MergingAggregateFunction, OutputTag, ProcessWindowFunction, Window } from '../core/index.js'
import type { Evictor, Trigger, WindowAssigner } from '../operators/window/index.js'
import { maximum, maximumBy, minimum, minimumBy, sumOf } from './aggregations.js'
import type { DataStream } from './data-stream.js'
import type { KeyedStream, NumericField } from './keyed-stream.js'
import { aggregateComputation, processComputation, type ReduceLike, reduceComputation } from './window-functions.js'
import { type WindowComputation, type WindowSpec, windowOperatorFactory, windowSpec } from './window-spec.js'

/** The aggregate function a window accepts: with `merge` where windows merge. */
export type AggregateFor<M extends boolean, In, Acc, Out> = M extends true ? MergingAggregateFunction<In, Acc, Out> : AggregateFunction<In, Acc, Out>

/** A keyed stream cut into windows (Flink's WindowedStream). `M`: whether its windows merge. */
export class WindowedStream<T, K, W extends Window, M extends boolean> {
  readonly #stream: KeyedStream<T, K>
  readonly #spec: WindowSpec<T, W>

  /** @internal */
  constructor(stream: KeyedStream<T, K>, assigner: WindowAssigner<T, W>, spec: WindowSpec<T, W> = windowSpec(assigner)) {
    this.#stream = stream
    this.#spec = spec
  }

  #with(change: Partial<WindowSpec<T, W>>): WindowedStream<T, K, W, M> {
    return new WindowedStream<T, K, W, M>(this.#stream, this.#spec.assigner, { ...this.#spec, ...change })
  }

  /** Replaces the assigner's default trigger. */
  trigger(trigger: Trigger<T, W>): WindowedStream<T, K, W, M> {
    return this.#with({ trigger })
  }
  /** Keeps all elements and removes some before or after the window function; without one, reduce and aggregate keep one value. */
  evictor(evictor: Evictor<T, W>): WindowedStream<T, K, W, M> {
    return this.#with({ evictor })
  }
  /** How long after the window's end (ms of event time) late elements still fire it again. */
  allowedLateness(allowedLatenessMs: number): WindowedStream<T, K, W, M> {
    return this.#with({ allowedLatenessMs })
  }
  /** Where elements go that are too late; without it they are dropped and counted. */
  sideOutputLateData(lateTag: OutputTag<T>): WindowedStream<T, K, W, M> {
    return this.#with({ lateTag })
  }

  /** Combines a window's elements one by one; with a window function, that gets the one combined element. */
  reduce(fn: ReduceLike<T>): DataStream<T>
  reduce<Out>(fn: ReduceLike<T>, windowFunction: ProcessWindowFunction<T, Out, K, W>): DataStream<Out>
  reduce<Out>(fn: ReduceLike<T>, windowFunction?: ProcessWindowFunction<T, Out, K, W>): DataStream<T | Out> {
    return this.#apply(reduceComputation(fn, windowFunction))
  }

  aggregate<Acc, Result>(fn: AggregateFor<M, T, Acc, Result>): DataStream<Result>
  aggregate<Acc, Result, Out>(fn: AggregateFor<M, T, Acc, Result>, windowFunction: ProcessWindowFunction<Result, Out, K, W>): DataStream<Out>
  aggregate<Acc, Result, Out>(
    fn: AggregateFor<M, T, Acc, Result>,
    windowFunction?: ProcessWindowFunction<Result, Out, K, W>,
  ): DataStream<Result | Out> {
    return this.#apply(aggregateComputation(fn as AggregateFunction<T, Acc, Result>, windowFunction))
  }

  /** Gets all of a window's elements at once; they are kept until then. */
  process<Out>(windowFunction: ProcessWindowFunction<T, Out, K, W>): DataStream<Out> {
    return this.#apply(processComputation(windowFunction))
  }

  sum(field: keyof T & NumericField<T>): DataStream<T> {
    return this.reduce(sumOf<T>(field))
  }
  min(field: keyof T): DataStream<T> {
    return this.reduce(minimum<T>(field))
  }
  max(field: keyof T): DataStream<T> {
    return this.reduce(maximum<T>(field))
  }
  minBy(field: keyof T, first = true): DataStream<T> {
    return this.reduce(minimumBy<T>(field, first))
  }
  maxBy(field: keyof T, first = true): DataStream<T> {
    return this.reduce(maximumBy<T>(field, first))
  }

  #apply<Acc, Out>(computation: WindowComputation<T, Acc, Out, W>): DataStream<Out> {
    return this.#stream.transform({
      kind: 'window',
      name: `Window(${this.#spec.assigner.constructor.name})`,
      create: windowOperatorFactory(this.#spec, computation),
    })
  }
}
