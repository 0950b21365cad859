import type { AggregateFunction, AnyStateDescriptor } from '../../core/index.js'
import { AggregatingStateDescriptor, ListStateDescriptor, ReducingStateDescriptor } from '../../core/index.js'
import type { TimestampedValue } from './evictor.js'

/** How a window operator keeps what came in for one key and window. */
export interface WindowContents<In, Acc> {
  readonly descriptor: AnyStateDescriptor
  /** The contents after the first element. */
  first(value: In, timestamp: number): Acc
  add(accumulator: Acc, value: In, timestamp: number): Acc
  /** `add` puts one element at the end of the list that it is given and returns that list. */
  readonly appends?: true
  /** undefined when contents of merging windows cannot be put together. */
  readonly merge: ((a: Acc, b: Acc) => Acc) | undefined
}

export function reducingContents<T>(reduce: (a: T, b: T) => T): WindowContents<T, T> {
  return { descriptor: new ReducingStateDescriptor<T>('window-contents', reduce), first: (value) => value, add: reduce, merge: reduce }
}

export function aggregatingContents<In, Acc, Out>(aggregate: AggregateFunction<In, Acc, Out>): WindowContents<In, Acc> {
  return {
    descriptor: new AggregatingStateDescriptor('window-contents', aggregate),
    first: (value) => aggregate.add(value, aggregate.createAccumulator()),
    add: (accumulator, value) => aggregate.add(value, accumulator),
    merge: aggregate.merge === undefined ? undefined : (a, b) => (aggregate.merge as NonNullable<typeof aggregate.merge>)(a, b),
  }
}

/** All elements, in order of arrival. */
export function bufferedContents<T>(): WindowContents<T, T[]> {
  return {
    descriptor: new ListStateDescriptor<T>('window-contents'),
    first: (value) => [value],
    add: (list, value) => {
      list.push(value)
      return list
    },
    appends: true,
    merge: (a, b) => a.concat(b),
  }
}

/** All elements with their timestamps, for evictors. */
export function timestampedContents<T>(): WindowContents<T, TimestampedValue<T>[]> {
  return {
    descriptor: new ListStateDescriptor<TimestampedValue<T>>('window-contents'),
    first: (value, timestamp) => [{ value, timestamp }],
    add: (list, value, timestamp) => {
      list.push({ value, timestamp })
      return list
    },
    appends: true,
    merge: (a, b) => a.concat(b),
  }
}
