import type { CoGroupFunction, Collector, FlatJoinFunction, JoinFunction, MergingAggregateFunction, Window } from '../core/index.js'
import type { TaggedUnion } from '../operators/co-window-operator.js'
import { aggregatingContents } from '../operators/window/window-contents.js'
import type { WindowComputation } from './window-spec.js'

/** The elements of one key and window, by side, each in order of arrival. */
interface Sides<T1, T2> {
  readonly first: T1[]
  readonly second: T2[]
}

function bySide<T1, T2>(): MergingAggregateFunction<TaggedUnion<T1, T2>, Sides<T1, T2>, Sides<T1, T2>> {
  return {
    createAccumulator: () => ({ first: [], second: [] }),
    add: (element, sides) => {
      if (element.input === 1) sides.first.push(element.value)
      else sides.second.push(element.value)
      return sides
    },
    getResult: (sides) => sides,
    merge: (a, b) => ({ first: a.first.concat(b.first), second: a.second.concat(b.second) }),
  }
}

export function coGroupComputation<T1, T2, Out, W extends Window>(
  fn: CoGroupFunction<T1, T2, Out>,
): WindowComputation<TaggedUnion<T1, T2>, Sides<T1, T2>, Out, W> {
  const sidesOf = bySide<T1, T2>()
  const lifecycle = {
    open: fn.open === undefined ? undefined : (context: Parameters<NonNullable<typeof fn.open>>[0]) => fn.open?.(context),
    close: fn.close === undefined ? undefined : () => fn.close?.(),
  }
  return {
    contents: aggregatingContents(sidesOf),
    windowFunction: { ...lifecycle, process: (_key, _context, { first, second }, out) => fn.coGroup(first, second, out) },
    fromElements: {
      ...lifecycle,
      process: (_key, _context, elements, out) => {
        const { first, second } = elements.reduce((sides, element) => sidesOf.add(element, sides), sidesOf.createAccumulator())
        fn.coGroup(first, second, out)
      },
    },
  }
}

export type JoinLike<T1, T2, Out> =
  | ((first: T1, second: T2) => Out)
  | ((first: T1, second: T2, out: Collector<Out>) => void)
  | JoinFunction<T1, T2, Out>
  | FlatJoinFunction<T1, T2, Out>

/** A join is a coGroup that takes all pairs; functions that name a third parameter collect their results there. */
export function allPairs<T1, T2, Out>(fn: JoinLike<T1, T2, Out>): CoGroupFunction<T1, T2, Out> {
  const object = (typeof fn === 'function' ? { join: fn } : fn) as JoinFunction<T1, T2, Out> | FlatJoinFunction<T1, T2, Out>
  const collects = object.join.length >= 3
  return {
    open: object.open === undefined ? undefined : (context) => object.open?.(context),
    close: object.close === undefined ? undefined : () => object.close?.(),
    coGroup: (first, second, out) => {
      for (const a of first) {
        for (const b of second) {
          if (collects) object.join(a, b, out)
          else out.collect((object as JoinFunction<T1, T2, Out>).join(a, b))
        }
      }
    },
  }
}
