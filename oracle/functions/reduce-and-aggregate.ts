import type { MergingAggregateFunction } from '../../runtime/index.js'
import type { Ev } from '../element.js'
import { unknownName } from '../unknown-name.js'

export function reduceFunction(name: string): (a: Ev, b: Ev) => Ev {
  switch (name) {
    case 'sum':
      return (a, b) => ({ k: a.k, v: a.v + b.v, t: a.t })
    case 'max':
      return (a, b) => (b.v > a.v ? b : a)
    case 'concat':
      return (a, b) => ({ k: a.k, v: a.v + b.v, t: `${a.t}|${b.t}` })
    default:
      throw unknownName('reduce function', name)
  }
}

/** The accumulator is the list of values. */
export function aggregateFunction(name: string): MergingAggregateFunction<Ev, number[], unknown> {
  const result = aggregateResult(name)
  return {
    createAccumulator: () => [],
    add: ({ v }, values) => {
      values.push(v)
      return values
    },
    getResult: result,
    merge: (a, b) => [...a, ...b],
  }
}

function aggregateResult(name: string): (values: readonly number[]) => unknown {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  switch (name) {
    case 'count':
      return (values) => values.length
    case 'sum':
      return sum
    case 'avg':
      return (values) => ({ count: values.length, sum: sum(values) })
    case 'list':
      return (values) => [...values]
    case 'list-sorted':
      return (values) => values.toSorted((a, b) => a - b)
    default:
      throw unknownName('aggregate function', name)
  }
}
