/** The key of an element: a string, number, boolean, bigint, or a plain array or object made of such. */
export type KeySelector<T, K> = (value: T) => K

/** Fields of T, or positions of a tuple. */
export type FieldKey<T> = T extends readonly unknown[] ? Position<T> & keyof T : T extends object ? keyof T & string : never

/** 0 | 1 for a pair; any number for an array. */
type Position<T extends readonly unknown[]> = number extends T['length'] ? number : IndexNumber<Exclude<keyof T, keyof (readonly unknown[])>>
type IndexNumber<Index> = Index extends `${infer N extends number}` ? N : never

export function keySelectorOf<T, K>(selector: KeySelector<T, K> | PropertyKey): KeySelector<T, K> {
  if (typeof selector === 'function') return selector
  return (value) => (value as Record<PropertyKey, K>)[selector]
}
