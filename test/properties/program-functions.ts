import type { Item } from './program.js'

/** The functions of random programs, which engine and reference share; what is tested is when and with what they are called. */

export const mapped = (item: Item, add: number): Item => ({ ...item, v: item.v + add })

export const kept = (item: Item, mod: number): boolean => item.v % mod !== 0

export const multiplied = (item: Item, mod: number): Item[] =>
  Array.from({ length: item.v % mod }, (_, i) => ({ ...item, v: item.v - i, id: item.id * 4 + i }))

/** Tells in which order elements come. */
export const reduceInOrder = (a: Item, b: Item): Item => ({ k: a.k, v: (a.v * 3 + b.v) % 1009, id: b.id })

/** The same for every order. */
export const reduceInAnyOrder = (a: Item, b: Item): Item => ({ k: a.k < b.k ? a.k : b.k, v: a.v + b.v, id: Math.min(a.id, b.id) })

export interface Totals {
  readonly n: number
  readonly sum: number
}

export const totals = {
  createAccumulator: (): Totals => ({ n: 0, sum: 0 }),
  add: ({ v }: Item, { n, sum }: Totals): Totals => ({ n: n + 1, sum: sum + v }),
  getResult: ({ n, sum }: Totals): Item => ({ k: 'total', v: sum, id: n }),
  merge: (a: Totals, b: Totals): Totals => ({ n: a.n + b.n, sum: a.sum + b.sum }),
}

/** Says all of a window: its key, its bounds and its elements, in order of arrival unless in `anyOrder`. */
export function described(key: string, bounds: string, elements: Iterable<Item>, anyOrder: boolean): Item {
  const all = [...elements]
  const told = all.map(({ k, v, id }) => `${k}/${v}/${id}`)
  if (anyOrder) told.sort()
  return { k: `${key} ${bounds}: ${told.join(' ')}`, v: all.reduce((sum, { v }) => sum + v, 0), id: all.length }
}

/** An element of this value takes its timer back. */
export const takesTimerBack = ({ v }: Item): boolean => v % 5 === 0
