import { MillraceError } from '../../../core/index.js'
import { CsvDecoder } from './csv-decoder.js'
import type { FileFormat, Parsed } from './file-format.js'

/** Options of the CSV format of file sources. */
export interface CsvOptions<T> {
  /** Names of the columns. Default: the first record of each file names them. */
  readonly columns?: readonly string[]
  /** Each file starts with a header. Default: true without `columns`, else false; with both, the header is passed over. */
  readonly header?: boolean
  /** One ASCII character. Default `,`. */
  readonly delimiter?: string
  /** One ASCII character around a field that holds delimiters, quotes or line ends. Default `"`. */
  readonly quote?: string
  /** One ASCII character before a quote inside quotes. Default: the quote itself. */
  readonly escape?: string
  /** Drops white space around fields without quotes. Default false. */
  readonly trim?: boolean
  /** Converts a record of texts; what it throws makes the record malformed. */
  readonly parse?: (record: Readonly<Record<string, string>>) => T
  /** As in ndjson: `fail` (default) with RECORD_MALFORMED, or `emit` elements of {@link Parsed}. */
  readonly malformed?: 'fail' | 'emit'
}

/** How a CSV text is written, with the defaults filled in. */
export interface CsvDialect {
  readonly columns: readonly string[] | undefined
  readonly header: boolean
  readonly delimiter: string
  readonly quote: string
  readonly escape: string
  readonly trim: boolean
}

/**
 * Comma-separated values (RFC 4180): records as objects by column name, all values texts unless `parse` converts them. A field in quotes may
 * hold line ends, therefore a file is never cut into byte ranges and one subtask reads it. A record with too few or too many fields is
 * malformed. Empty lines are no records, except in a file of one column.
 */
export function csv<T = Record<string, string>>(options: CsvOptions<T> & { readonly malformed: 'emit' }): FileFormat<Parsed<T>>
export function csv<T = Record<string, string>>(options?: CsvOptions<T> & { readonly malformed?: 'fail' }): FileFormat<T>
export function csv<T>(options: CsvOptions<T> = {}): FileFormat<T> | FileFormat<Parsed<T>> {
  const dialect = dialectOf(options)
  const parse = options.parse ?? ((record: Readonly<Record<string, string>>) => record as T)
  if (options.malformed === 'emit') {
    return {
      name: 'csv',
      splittable: false,
      createDecoder: (context) =>
        new CsvDecoder<Parsed<T>>(context, dialect, {
          valid: (record) => ({ ok: true, value: parse(record) }),
          malformed: (line, lineNumber, error) => ({ ok: false, line, lineNumber, file: context.path, error }),
        }),
    }
  }
  return { name: 'csv', splittable: false, createDecoder: (context) => new CsvDecoder<T>(context, dialect, { valid: parse }) }
}

function dialectOf<T>(options: CsvOptions<T>): CsvDialect {
  const { columns, header = columns === undefined, delimiter = ',', quote = '"', escape: escapeChar = quote, trim = false } = options
  for (const [name, value] of Object.entries({ delimiter, quote, escape: escapeChar })) {
    if (value.length === 1 && value > '\0' && value < '\x80' && value !== '\n' && value !== '\r') continue
    throw new MillraceError('OPTION_INVALID', { what: `${name} is ${JSON.stringify(value)}`, where: 'csv()', todo: 'Give one ASCII character.' })
  }
  if (columns === undefined && !header) {
    throw new MillraceError('OPTION_INVALID', { what: 'there is neither a header nor a list of columns', where: 'csv()', todo: 'Give columns.' })
  }
  if (columns !== undefined && (columns.length === 0 || new Set(columns).size !== columns.length)) {
    throw new MillraceError('OPTION_INVALID', { what: 'columns is empty or names one twice', where: 'csv()', todo: 'Give each column its own name.' })
  }
  return { columns, header, delimiter, quote, escape: escapeChar, trim }
}
