import type { AggregateFunction, OutputTag, ProcessAllWindowFunction, Window } from '../core/index.js'
import type { Evictor, Trigger, WindowAssigner } from '../operators/window/index.js'
import { withoutKey } from '../operators/window/window-function.js'
import type { DataStream } from './data-stream.js'
import { aggregateComputation, processComputation, type ReduceLike, reduceComputation } from './window-functions.js'
import { type WindowComputation, type WindowSpec, windowOperatorFactory, windowSpec } from './window-spec.js'
import type { AggregateFor } from './windowed-stream.js'

/** A whole stream cut into windows, computed in one subtask (Flink's AllWindowedStream). */
export class AllWindowedStream<T, W extends Window, M extends boolean> {
  readonly #stream: DataStream<T>
  readonly #spec: WindowSpec<T, W>

  /** @internal */
  constructor(stream: DataStream<T>, assigner: WindowAssigner<T, W>, spec: WindowSpec<T, W> = windowSpec(assigner)) {
    this.#stream = stream
    this.#spec = spec
  }

  #with(change: Partial<WindowSpec<T, W>>): AllWindowedStream<T, W, M> {
    return new AllWindowedStream<T, W, M>(this.#stream, this.#spec.assigner, { ...this.#spec, ...change })
  }

  trigger(trigger: Trigger<T, W>): AllWindowedStream<T, W, M> {
    return this.#with({ trigger })
  }
  evictor(evictor: Evictor<T, W>): AllWindowedStream<T, W, M> {
    return this.#with({ evictor })
  }
  /** Milliseconds of event time. */
  allowedLateness(allowedLatenessMs: number): AllWindowedStream<T, W, M> {
    return this.#with({ allowedLatenessMs })
  }
  sideOutputLateData(lateTag: OutputTag<T>): AllWindowedStream<T, W, M> {
    return this.#with({ lateTag })
  }

  reduce(fn: ReduceLike<T>): DataStream<T>
  reduce<Out>(fn: ReduceLike<T>, windowFunction: ProcessAllWindowFunction<T, Out, W>): DataStream<Out>
  reduce<Out>(fn: ReduceLike<T>, windowFunction?: ProcessAllWindowFunction<T, Out, W>): DataStream<T | Out> {
    return this.#apply(reduceComputation(fn, windowFunction && withoutKey(windowFunction)))
  }

  aggregate<Acc, Result>(fn: AggregateFor<M, T, Acc, Result>): DataStream<Result>
  aggregate<Acc, Result, Out>(fn: AggregateFor<M, T, Acc, Result>, windowFunction: ProcessAllWindowFunction<Result, Out, W>): DataStream<Out>
  aggregate<Acc, Result, Out>(
    fn: AggregateFor<M, T, Acc, Result>,
    windowFunction?: ProcessAllWindowFunction<Result, Out, W>,
  ): DataStream<Result | Out> {
    return this.#apply(aggregateComputation(fn as AggregateFunction<T, Acc, Result>, windowFunction && withoutKey(windowFunction)))
  }

  process<Out>(windowFunction: ProcessAllWindowFunction<T, Out, W>): DataStream<Out> {
    return this.#apply(processComputation(withoutKey(windowFunction)))
  }

  #apply<Acc, Out>(computation: WindowComputation<T, Acc, Out, W>): DataStream<Out> {
    return this.#stream
      .partition({ kind: 'global' })
      .transform(
        { kind: 'window-all', name: `WindowAll(${this.#spec.assigner.constructor.name})`, create: windowOperatorFactory(this.#spec, computation) },
        { keySelector: () => 0, nonParallel: true },
      )
  }
}
