import { type Column, fromColumns, toColumns } from './columns.js'
import { packNumbers, unpackNumbers } from './packed-numbers.js'

/** Numbers; strings; short strings as one text with their lengths, or with the length that all have. */
type PackedColumn = Uint8Array | readonly string[] | readonly [text: string, lengths: Uint8Array | number]

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

function packColumn(column: Column, size: number): PackedColumn {
  if ('text' in column) {
    const { text, lengths } = column
    return [text, lengths.every((length) => length === lengths[0]) ? lengths[0] : lengths]
  }
  if (Array.isArray(column) && typeof column[0] === 'string') return packFew(column as string[])
  return packNumbers(column as ArrayLike<number>, size)
}

/** A column of a small batch, or one with long strings. */
function packFew(strings: readonly string[]): PackedColumn {
  const { length } = strings[0]
  // An empty one would be taken for no text at all.
  if (length === 0 || length > SHORT || strings.some((string) => string.length !== length)) return [...strings]
  return [strings.join(''), length]
}

/** As columns.ts has it: a substring up to this length is a copy. */
const SHORT = 12

function unpackColumn(column: PackedColumn, size: number): Column {
  if (column instanceof Uint8Array) return unpackNumbers(column, size)
  const [text, lengths] = column
  if (column.length !== 2 || typeof lengths === 'string') return [...(column as readonly string[])]
  return { text: text as string, lengths: typeof lengths === 'number' ? new Uint8Array(size).fill(lengths) : (lengths as Uint8Array) }
}
