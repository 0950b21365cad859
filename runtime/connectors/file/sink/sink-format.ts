import { MillraceError } from '../../../core/index.js'

/** How values become the text of a file. Write your own by implementing this. */
export interface SinkFormat<T> {
  /** Extension of part files, without the dot. */
  readonly extension: string
  /** First line of every file, with its line end. */
  readonly header?: string
  /** The text of one value, with its line end. */
  encode(value: T): string
}

/** One JSON value a line. A value that JSON cannot hold is RECORD_UNSERIALISABLE. */
export function ndjsonFormat<T>(): SinkFormat<T> {
  return { extension: 'ndjson', encode: (value) => `${jsonOf(value)}\n` }
}

/** What `toText` makes of a value, and a line end. */
export function textFormat<T>(toText: (value: T) => string = String): SinkFormat<T> {
  return { extension: 'txt', encode: (value) => `${toText(value)}\n` }
}

/** Options of the CSV format of file sinks. */
export interface CsvFormatOptions<T> {
  /** Names of the properties to write, in order. */
  readonly columns: readonly (keyof T & string)[]
  /** A first line with the names. Default true. */
  readonly header?: boolean
  /** One character. Default `,`. */
  readonly delimiter?: string
}

/**
 * Comma-separated values (RFC 4180, lines end with `\n`). null and undefined are empty fields, dates are in ISO 8601, other objects in
 * JSON; a field with a delimiter, a quote or a line end is quoted.
 */
export function csvFormat<T extends object>(options: CsvFormatOptions<T>): SinkFormat<T> {
  const { columns, header = true, delimiter = ',' } = options
  if (columns.length === 0 || delimiter.length !== 1 || /["\r\n]/.test(delimiter)) {
    throw new MillraceError('OPTION_INVALID', {
      what: 'columns is empty or delimiter is not one character',
      where: 'csvFormat()',
      todo: 'Give both as documented.',
    })
  }
  const fieldOf = (value: unknown): string => {
    const text = textOf(value)
    const bare =
      text.includes(delimiter) || text.includes('"') || text.includes('\n') || text.includes('\r') ? `"${text.replaceAll('"', '""')}"` : text
    // An empty line would be read as no record.
    return bare === '' && columns.length === 1 ? '""' : bare
  }
  const lineOf = (fields: readonly unknown[]) => `${fields.map(fieldOf).join(delimiter)}\n`
  const format: SinkFormat<T> = { extension: 'csv', encode: (value) => lineOf(columns.map((column) => value[column])) }
  return header ? { ...format, header: lineOf(columns) } : format
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? jsonOf(value) : String(value)
}

function jsonOf(value: unknown): string {
  try {
    const text = JSON.stringify(value)
    if (text !== undefined) return text
  } catch (cause) {
    throw unserialisable(value, cause)
  }
  throw unserialisable(value, undefined)
}

function unserialisable(value: unknown, cause: unknown): MillraceError {
  const todo = 'Map the values to plain data (no bigint, function or cycle) before the sink, or write them with textFormat.'
  return new MillraceError('RECORD_UNSERIALISABLE', { what: `a ${typeof value} cannot be written as JSON`, where: 'file sink', todo, cause })
}
