import type { MergingAggregateFunction } from 'millrace'

/** Counts elements of any type. */
export const countAggregate: MergingAggregateFunction<unknown, number, number> = {
  createAccumulator: () => 0,
  add: (_, count) => count + 1,
  getResult: (count) => count,
  merge: (a, b) => a + b,
}
