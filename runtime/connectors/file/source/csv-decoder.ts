import { type Options, parse } from 'csv-parse/sync'
import { describeCause } from '../../../core/index.js'
import type { CsvDialect } from './csv-format.js'
import { type CsvFrame, CsvFraming } from './csv-framing.js'
import { type ByteWindow, type DecoderContext, MalformedRecord, type RecordDecoder } from './file-format.js'
import { excerpt } from './ndjson-format.js'

type Row = Readonly<Record<string, string>>

export interface CsvOutcome<T> {
  /** May throw: the record is then malformed. */
  valid(record: Row): T
  /** Absent: a malformed record fails the job. */
  malformed?(line: string, lineNumber: number, error: string): T
}

interface CsvState {
  readonly lineNumber: number
  readonly columns: readonly string[] | undefined
  readonly headerRead: boolean
}

/** Finds records by their framing, then lets csv-parse parse many at once; only where that fails it parses one by one to name the bad one. */
export class CsvDecoder<T> implements RecordDecoder<T> {
  readonly #maxBytes: number
  readonly #framing: CsvFraming
  readonly #outcome: CsvOutcome<T>
  readonly #parseOptions: Options
  #columns: readonly string[] | undefined
  #headerRead: boolean
  /** Line ends consumed so far. */
  #lineNumber: number

  constructor(context: DecoderContext, dialect: CsvDialect, outcome: CsvOutcome<T>) {
    const restored = context.restored as CsvState | undefined
    this.#maxBytes = context.maxRecordBytes
    this.#framing = new CsvFraming(dialect)
    this.#outcome = outcome
    this.#columns = restored?.columns ?? dialect.columns
    this.#headerRead = restored?.headerRead ?? !dialect.header
    this.#lineNumber = restored?.lineNumber ?? 0
    const { columns: _columns, header: _header, ...characters } = dialect
    this.#parseOptions = { ...characters, bom: false, record_delimiter: ['\r\n', '\n'], max_record_size: 0 }
  }

  decode(window: ByteWindow, max: number, emit: (value: T) => void): number {
    if (!this.#headerRead && !this.#readHeader(window)) return 0
    const frames = this.#frames(window, max)
    if (frames.length === 0) return 0
    const rows = this.#parseAll(window.bytes, frames)
    let emitted = 0
    for (let i = 0; i < frames.length; i++) {
      const frame = frames[i]
      if (!this.#isBlank(frame)) {
        emit(this.#toValue(window.bytes, frame, rows?.[emitted]))
        emitted += 1
      }
      this.#lineNumber += frame.lineEnds
      window.position = frame.end
    }
    // Blank lines count towards `max`, so fewer than `max` rightly says that the window is used up.
    return frames.length
  }

  snapshot(): CsvState {
    return { lineNumber: this.#lineNumber, columns: this.#columns, headerRead: this.#headerRead }
  }

  #frames(window: ByteWindow, max: number): CsvFrame[] {
    const frames: CsvFrame[] = []
    let start = window.position
    while (frames.length < max) {
      const frame = this.#frameAt(window, start, frames.length === 0)
      if (frame === undefined) break
      frames.push(frame)
      start = frame.end
    }
    return frames
  }

  #frameAt(window: ByteWindow, start: number, first: boolean): CsvFrame | undefined {
    const frame = this.#framing.next(window.bytes, start, window.final)
    if ((frame?.end ?? window.bytes.length) - start <= this.#maxBytes) return frame
    // Records before the overlong one are emitted first.
    if (!first) return undefined
    const todo = 'Look for a quote that is never closed, or raise maxLineBytes of the file source.'
    throw new MalformedRecord(`the record is longer than maxLineBytes (${this.#maxBytes})`, this.#lineNumber + 1, todo)
  }

  #isBlank(frame: CsvFrame): boolean {
    return frame.empty && this.#columns?.length !== 1
  }

  #readHeader(window: ByteWindow): boolean {
    const frame = this.#frameAt(window, window.position, true)
    if (frame === undefined) return false
    const [names = []] = this.#parseBytes(window.bytes.subarray(frame.start, frame.end), false) as string[][]
    if (this.#columns === undefined) {
      if (names.length === 0 || new Set(names).size !== names.length) {
        const todo = 'Give csv() the columns (with header: true when the file has a header).'
        throw new MalformedRecord('the header is empty or names a column twice', this.#lineNumber + 1, todo)
      }
      this.#columns = names
    }
    this.#headerRead = true
    this.#lineNumber += frame.lineEnds
    window.position = frame.end
    return true
  }

  /** All records at once; undefined when one of them does not parse. */
  #parseAll(bytes: Buffer, frames: readonly CsvFrame[]): Row[] | undefined {
    try {
      const rows = this.#parseBytes(bytes.subarray(frames[0].start, frames[frames.length - 1].end), true) as unknown as Row[]
      return rows.length === frames.filter((frame) => !this.#isBlank(frame)).length ? rows : undefined
    } catch {
      return undefined
    }
  }

  #toValue(bytes: Buffer, frame: CsvFrame, parsed: Row | undefined): T {
    const record = bytes.subarray(frame.start, frame.end)
    try {
      return this.#outcome.valid(parsed ?? this.#parseOne(record))
    } catch (thrown) {
      // csv-parse saw this record alone, so the line it names is of no use.
      const error = new Error(describeCause(thrown).replace(/ on line \d+/, ''), { cause: thrown })
      const line = record.toString('utf8').replace(/\r?\n$/, '')
      if (this.#outcome.malformed !== undefined) return this.#outcome.malformed(line, this.#lineNumber + 1, error.message)
      const todo = "Mend the record, or read with csv({ malformed: 'emit' }) and let the job decide what becomes of such records."
      throw new MalformedRecord(`the record is not valid CSV: ${excerpt(line)}`, this.#lineNumber + 1, todo, error)
    }
  }

  #parseOne(record: Buffer): Row {
    const rows = this.#parseBytes(record, true) as unknown as Row[]
    if (rows.length !== 1) throw new Error(`there are ${rows.length} records where one was expected`)
    return rows[0]
  }

  #parseBytes(bytes: Buffer, named: boolean): unknown[] {
    const columns = named ? [...(this.#columns ?? [])] : false
    return parse(bytes, { ...this.#parseOptions, columns, skip_empty_lines: this.#columns?.length !== 1 } as Options)
  }
}
