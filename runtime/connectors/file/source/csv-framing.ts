import type { CsvDialect } from './csv-format.js'

const NEWLINE = 10
const CARRIAGE_RETURN = 13
const SPACE = 32

/** One record's bytes: [start, end) with its line end, and how many line ends are in it. */
export interface CsvFrame {
  readonly start: number
  readonly end: number
  readonly lineEnds: number
  /** Nothing but a line end. */
  readonly empty: boolean
}

/** Finds where records end: at the first `\n` outside quotes. Quotes open a field only at its start, as in csv-parse. */
export class CsvFraming {
  readonly #delimiter: number
  readonly #quote: number
  readonly #escape: number
  readonly #trim: boolean

  constructor(dialect: CsvDialect) {
    this.#delimiter = dialect.delimiter.charCodeAt(0)
    this.#quote = dialect.quote.charCodeAt(0)
    this.#escape = dialect.escape.charCodeAt(0)
    this.#trim = dialect.trim
  }

  /** The record that starts at `start`; undefined when its end has not arrived. */
  next(bytes: Buffer, start: number, final: boolean): CsvFrame | undefined {
    let lineEnds = 0
    let fieldStart = true
    let quoted = false
    for (let i = start; i < bytes.length; i++) {
      const byte = bytes[i]
      if (quoted) {
        if (byte === NEWLINE) lineEnds += 1
        else if (byte === this.#escape && this.#escapes(bytes, i)) i += 1
        else if (byte === this.#quote) quoted = false
      } else if (byte === NEWLINE) {
        const empty = i === start || (i === start + 1 && bytes[start] === CARRIAGE_RETURN)
        return { start, end: i + 1, lineEnds: lineEnds + 1, empty }
      } else if (byte === this.#quote && fieldStart) {
        quoted = true
        fieldStart = false
      } else {
        fieldStart = byte === this.#delimiter || (fieldStart && this.#trim && byte === SPACE)
      }
    }
    return final && start < bytes.length ? { start, end: bytes.length, lineEnds, empty: false } : undefined
  }

  /** An escape counts only before a quote or another escape, as in csv-parse. */
  #escapes(bytes: Buffer, i: number): boolean {
    const following = bytes[i + 1]
    return following === this.#quote || following === this.#escape
  }
}
