import { MillraceError } from '../core/index.js'

/**
 * A key as the state tables hold it: primitives as they are, anything else as NUL + canonical JSON, so that equal keys
 * are equal in a Map. A string that begins with NUL is escaped as NUL + 's' + itself. A lone surrogate is U+FFFD, as it is once it has been written.
 */
export type InternalKey = string | number | boolean | bigint

const NUL = '\u0000'

/** Throws KEY_INVALID for what cannot be a key: null, undefined, NaN, functions, symbols, class instances. */
export function toInternalKey(key: unknown): InternalKey {
  switch (typeof key) {
    case 'string':
      if (key.charCodeAt(0) === 0) return `${NUL}s${key.toWellFormed()}`
      return key.isWellFormed() ? key : key.toWellFormed()
    case 'number':
      if (Number.isNaN(key)) throw invalidKey('NaN')
      return key === 0 ? 0 : key
    case 'boolean':
    case 'bigint':
      return key
    case 'object':
      if (key === null) throw invalidKey('null')
      return NUL + canonicalJson(key)
    default:
      throw invalidKey(typeof key)
  }
}

/** The key as the job's functions see it. */
export function fromInternalKey(key: InternalKey): unknown {
  if (typeof key !== 'string' || key.charCodeAt(0) !== 0) return key
  return key.charCodeAt(1) === 115 /* s */ ? key.slice(2) : JSON.parse(key.slice(1))
}

function canonicalJson(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.toWellFormed())
    case 'boolean':
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) throw invalidKey(`an object that holds ${value}`)
      return JSON.stringify(value === 0 ? 0 : value)
    case 'object': {
      if (value === null) return 'null'
      if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
      const prototype = Object.getPrototypeOf(value)
      if (prototype !== Object.prototype && prototype !== null) throw invalidKey(`an instance of ${prototype.constructor?.name ?? 'a class'}`)
      const fields = Object.keys(value).sort()
      return `{${fields.map((f) => `${JSON.stringify(f)}:${canonicalJson((value as Record<string, unknown>)[f])}`).join(',')}}`
    }
    default:
      throw invalidKey(`an object that holds ${typeof value}`)
  }
}

function invalidKey(what: string): MillraceError {
  return new MillraceError('KEY_INVALID', {
    what: `the key selector returned ${what}`,
    todo: 'Return a string, finite number, boolean or bigint, or a plain array or object made of strings, numbers, booleans and null; filter out records without a key first.',
  })
}
