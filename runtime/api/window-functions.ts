import type { AggregateFunction, ProcessWindowFunction, ReduceFunction, Window } from '../core/index.js'
import { aggregatingContents, bufferedContents, reducingContents } from '../operators/window/window-contents.js'
import { emitContents, emitResult, processElements, processSingle } from '../operators/window/window-function.js'
import type { WindowComputation } from './window-spec.js'

export type ReduceLike<T> = ((a: T, b: T) => T) | ReduceFunction<T>

export function reduceComputation<T, Out, K, W extends Window>(
  fn: ReduceLike<T>,
  windowFunction?: ProcessWindowFunction<T, Out, K, W>,
): WindowComputation<T, T, T | Out, W> {
  const reduce = typeof fn === 'function' ? fn : (a: T, b: T) => fn.reduce(a, b)
  const single = windowFunction === undefined ? emitContents<T, W>() : processSingle<T, T, Out, K, W>((contents) => contents, windowFunction)
  return {
    contents: reducingContents(reduce),
    windowFunction: single,
    fromElements: {
      ...single,
      process: (key, context, elements, out) => elements.length > 0 && single.process(key, context, elements.reduce(reduce), out as never),
    },
  }
}

export function aggregateComputation<T, Acc, Result, Out, K, W extends Window>(
  aggregate: AggregateFunction<T, Acc, Result>,
  windowFunction?: ProcessWindowFunction<Result, Out, K, W>,
): WindowComputation<T, Acc, Result | Out, W> {
  const single =
    windowFunction === undefined
      ? emitResult<Acc, Result, W>(aggregate as AggregateFunction<never, Acc, Result>)
      : processSingle<Acc, Result, Out, K, W>((acc) => aggregate.getResult(acc), windowFunction)
  return {
    contents: aggregatingContents(aggregate),
    windowFunction: single,
    fromElements: {
      ...single,
      process: (key, context, elements, out) => {
        let accumulator = aggregate.createAccumulator()
        for (const element of elements) accumulator = aggregate.add(element, accumulator)
        single.process(key, context, accumulator, out as never)
      },
    },
  }
}

export function processComputation<T, Out, K, W extends Window>(
  windowFunction: ProcessWindowFunction<T, Out, K, W>,
): WindowComputation<T, T[], Out, W> {
  const all = processElements(windowFunction)
  return { contents: bufferedContents<T>(), windowFunction: all, fromElements: all as never }
}
