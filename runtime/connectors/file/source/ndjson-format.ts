import { describeCause } from '../../../core/index.js'
import { type DecoderContext, type FileFormat, MalformedRecord, type Parsed } from './file-format.js'
import { LineDecoder } from './line-decoder.js'

/** Options of the NDJSON format of file sources. */
export interface NdjsonOptions<T> {
  /** Checks or converts a parsed value; what it throws makes the record malformed. Without it the value is taken as a T unchecked. */
  readonly parse?: (value: unknown) => T
  /**
   * `fail` (default): a malformed line fails the job with RECORD_MALFORMED, naming file and line. `emit`: every element is a
   * {@link Parsed}, so that the job decides; a file is then read whole by one subtask, which knows the line numbers.
   */
  readonly malformed?: 'fail' | 'emit'
}

/** One JSON value a line (newline-delimited JSON). Empty lines, and lines of white space, are no records. */
export function ndjson<T>(options: NdjsonOptions<T> & { readonly malformed: 'emit' }): FileFormat<Parsed<T>>
export function ndjson<T>(options?: NdjsonOptions<T> & { readonly malformed?: 'fail' }): FileFormat<T>
export function ndjson<T>(options: NdjsonOptions<T> = {}): FileFormat<T> | FileFormat<Parsed<T>> {
  const parse = options.parse ?? ((value: unknown) => value as T)
  if (options.malformed === 'emit') {
    return { name: 'ndjson', splittable: false, createDecoder: (context) => new ParsedNdjsonDecoder(context, parse) }
  }
  return { name: 'ndjson', splittable: true, createDecoder: (context) => new NdjsonDecoder(context, parse) }
}

class NdjsonDecoder<T> extends LineDecoder<T> {
  readonly #parse: (value: unknown) => T

  constructor(context: DecoderContext, parse: (value: unknown) => T) {
    super(context, 'utf8')
    this.#parse = parse
  }

  protected emitLine(line: string, emit: (value: T) => void): boolean {
    if (line.trim() === '') return false
    emit(this.#read(line))
    return true
  }

  #read(line: string): T {
    try {
      return this.#parse(JSON.parse(line))
    } catch (error) {
      const todo = "Mend the line, or read with ndjson({ malformed: 'emit' }) and let the job decide what becomes of such lines."
      throw new MalformedRecord(`the line is no valid record: ${excerpt(line)}`, this.lineNumber, todo, error)
    }
  }
}

class ParsedNdjsonDecoder<T> extends LineDecoder<Parsed<T>> {
  readonly #parse: (value: unknown) => T

  constructor(context: DecoderContext, parse: (value: unknown) => T) {
    super(context, 'utf8')
    this.#parse = parse
  }

  protected emitLine(line: string, emit: (value: Parsed<T>) => void): boolean {
    if (line.trim() === '') return false
    emit(this.#read(line))
    return true
  }

  #read(line: string): Parsed<T> {
    try {
      return { ok: true, value: this.#parse(JSON.parse(line)) }
    } catch (error) {
      return { ok: false, line, lineNumber: this.lineNumber, file: this.path, error: describeCause(error) }
    }
  }
}

/** The start of a bad record, for an error message. */
export function excerpt(text: string): string {
  return text.length > 120 ? `${JSON.stringify(text.slice(0, 120))}…` : JSON.stringify(text)
}
