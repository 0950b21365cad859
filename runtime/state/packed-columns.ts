import { type Column, fromColumns, toColumns } from './columns.js'
import { numberedNames } from './numbered-names.js'
import { packNumbers, unpackNumbers } from './packed-numbers.js'

/**
 * Numbers; strings; short strings as one text with their lengths, or with the length that all have; names that are numbered, as their numbers
 * behind what they begin with. A text with a lone surrogate would come back longer, and whatever is behind it would move.
 */
type PackedColumn =
  | Uint8Array
  | readonly string[]
  | readonly [text: string, lengths: Uint8Array | number]
  | readonly [prefix: string, digits: number, numbers: Uint8Array]

/** Records of one shape by columns, for the wire; `fields` is null for records that are themselves numbers or strings. */
export type PackedColumns = readonly [fields: readonly string[] | null, columns: readonly PackedColumn[]]

/** Undefined when the records are not plain objects of one shape that hold only numbers and strings. */
export function packColumns(values: readonly unknown[], size: number): PackedColumns | undefined {
  const columnar = size === 0 ? undefined : toColumns(values, size)
  if (columnar === undefined) return undefined
  return [columnar.fields, columnar.columns.map((column) => packColumn(column, size))]
}

export function unpackColumns([fields, columns]: PackedColumns, size: number): unknown[] {
  return fromColumns({ fields, columns: columns.map((column) => unpackColumn(column, size)), bytes: 0 }, size)
}

/** Whether there is next to nothing in them that deflating would save. */
export function isDense([, columns]: PackedColumns): boolean {
  return columns.every((column) => column instanceof Uint8Array || (column.length === 3 && column[2] instanceof Uint8Array))
}

function packColumn(column: Column, size: number): PackedColumn {
  if ('text' in column) {
    const { text, lengths } = column
    if (!text.isWellFormed()) return fromColumns({ fields: null, columns: [column], bytes: 0 }, size) as string[]
    if (!lengths.every((length) => length === lengths[0])) return [text, lengths]
    return packNumbered(text, lengths[0], size) ?? [text, lengths[0]]
  }
  if (Array.isArray(column) && typeof column[0] === 'string') return packFew(column as string[])
  return packNumbers(column as ArrayLike<number>, size)
}

/** A column of a small batch, or one with long strings. */
function packFew(strings: readonly string[]): PackedColumn {
  const { length } = strings[0]
  // An empty one would be taken for no text at all.
  if (length === 0 || length > SHORT || strings.some((string) => string.length !== length)) return [...strings]
  const text = strings.join('')
  if (!text.isWellFormed()) return [...strings]
  return packNumbered(text, length, strings.length) ?? [text, length]
}

const ZERO = 48
const NINE = 57
/** Of more digits not every number is exact. */
const MOST_DIGITS = 15

/** Strings of one length that are all the same text and a number, with zeros before it: `user-000017`. Undefined when they are not. */
function packNumbered(text: string, length: number, size: number): PackedColumn | undefined {
  if (length === 0) return undefined
  let prefix = length
  while (prefix > 0 && length - prefix < MOST_DIGITS && isDigit(text.charCodeAt(prefix - 1))) prefix--
  if (prefix === length) return undefined
  const numbers = new Float64Array(size)
  for (let row = 0, at = 0; row < size; row++) {
    for (let i = 0; i < prefix; i++, at++) if (text.charCodeAt(at) !== text.charCodeAt(i)) return undefined
    let number = 0
    for (let i = prefix; i < length; i++, at++) {
      const code = text.charCodeAt(at)
      if (!isDigit(code)) return undefined
      number = 10 * number + code - ZERO
    }
    numbers[row] = number
  }
  return [text.slice(0, prefix), length - prefix, packNumbers(numbers, size)]
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE
}

/** As columns.ts has it: a substring up to this length is a copy. */
const SHORT = 12

function unpackColumn(column: PackedColumn, size: number): Column {
  if (column instanceof Uint8Array) return unpackNumbers(column, size)
  if (column.length === 3 && column[2] instanceof Uint8Array) {
    const [prefix, digits, numbers] = column as readonly [string, number, Uint8Array]
    return numberedNames(prefix, digits, unpackNumbers(numbers, size))
  }
  const [text, lengths] = column
  if (column.length !== 2 || typeof lengths === 'string') return [...(column as readonly string[])]
  return { text: text as string, lengths: typeof lengths === 'number' ? new Uint8Array(size).fill(lengths) : (lengths as Uint8Array) }
}
