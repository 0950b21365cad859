import { type KeyType, type KeyTypes, keyTypeOf, MillraceError } from '../core/index.js'

/** The key of an element: a string, number, boolean, bigint, or a plain array or object made of such. */
export type KeySelector<T, K> = (value: T) => K

/** Fields of T, or positions of a tuple. */
export type FieldKey<T> = T extends readonly unknown[] ? Position<T> & keyof T : T extends object ? keyof T & string : never

/** 0 | 1 for a pair; any number for an array. */
type Position<T extends readonly unknown[]> = number extends T['length'] ? number : IndexNumber<Exclude<keyof T, keyof (readonly unknown[])>>
type IndexNumber<Index> = Index extends `${infer N extends number}` ? N : never

/** `types`: of which its keys are, if that was declared. */
export function keySelectorOf<T, K>(selector: KeySelector<T, K> | PropertyKey, types?: KeyTypes): KeySelector<T, K> {
  const plain = typeof selector === 'function' ? selector : (value: T) => (value as Record<PropertyKey, K>)[selector]
  return types === undefined ? plain : withTypes(plain, typeof types === 'string' ? [types] : types)
}

/** The plan finds the types at the selector (`keyTypesOf` in plan/key-types.ts). */
function withTypes<T, K>(selector: KeySelector<T, K>, keyTypes: readonly KeyType[]): KeySelector<T, K> {
  const typed = (value: T): K => {
    const key = selector(value)
    const type = keyTypeOf(key)
    if (type !== undefined && !keyTypes.includes(type)) throw notOfType(key, type, keyTypes)
    return key
  }
  return Object.assign(typed, { keyTypes })
}

function notOfType(key: unknown, type: KeyType, declared: readonly KeyType[]): MillraceError {
  return new MillraceError('KEY_TYPE', {
    what: `the key ${typeof key === 'bigint' ? key : JSON.stringify(key)} is of type ${type}, and keyBy was declared with ${declared.join(', ')}`,
    todo: 'Return what was declared, or declare what is returned.',
  })
}
