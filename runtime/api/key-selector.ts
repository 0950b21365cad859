/** The key of an element: a string, number, boolean, bigint, or a plain array or object made of such. */
export type KeySelector<T, K> = (value: T) => K

/** Fields of T, or positions of a tuple. */
export type FieldKey<T> = T extends readonly unknown[] ? number & keyof T : T extends object ? keyof T & string : never

export function keySelectorOf<T, K>(selector: KeySelector<T, K> | PropertyKey): KeySelector<T, K> {
  if (typeof selector === 'function') return selector
  return (value) => (value as Record<PropertyKey, K>)[selector]
}
