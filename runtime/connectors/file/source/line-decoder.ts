import { type ByteWindow, type DecoderContext, MalformedRecord, type RecordDecoder } from './file-format.js'

const NEWLINE = 10
const CARRIAGE_RETURN = 13

/** Cuts bytes at `\n` or `\r\n` and hands each line to {@link emitLine}. Its state is the number of lines so far. */
export abstract class LineDecoder<T> implements RecordDecoder<T> {
  protected readonly path: string
  /** Number of the line being handed over, from 1 at the start of the split. */
  protected lineNumber: number
  readonly #maxBytes: number
  readonly #encoding: 'utf8' | 'latin1'

  constructor(context: DecoderContext, encoding: 'utf8' | 'latin1') {
    this.path = context.path
    this.#maxBytes = context.maxRecordBytes
    this.#encoding = encoding
    this.lineNumber = (context.restored as number | undefined) ?? 0
  }

  /** Returns false when the line is no record (an empty one, where the format allows it). */
  protected abstract emitLine(line: string, emit: (value: T) => void): boolean

  decode(window: ByteWindow, max: number, emit: (value: T) => void): number {
    const { bytes, limit, final } = window
    // Each line is decoded on its own: a slice of the decoded chunk would keep the whole chunk in memory as long as the job keeps the line.
    const encoding = window.ascii ? 'latin1' : this.#encoding
    let emitted = 0
    let start = window.position
    while (emitted < max && start < limit && start < bytes.length) {
      const newline = bytes.indexOf(NEWLINE, start)
      const end = newline === -1 ? bytes.length : newline
      if (end - start > this.#maxBytes) throw this.#overlong()
      if (newline === -1 && !final) break
      const stop = newline > start && bytes[newline - 1] === CARRIAGE_RETURN ? newline - 1 : end
      this.lineNumber += 1
      if (this.emitLine(bytes.toString(encoding, start, stop), emit)) emitted += 1
      start = newline === -1 ? end : newline + 1
      window.position = start
    }
    return emitted
  }

  snapshot(): number {
    return this.lineNumber
  }

  #overlong(): MalformedRecord {
    return new MalformedRecord(
      `the line is longer than maxLineBytes (${this.#maxBytes})`,
      this.lineNumber + 1,
      'Raise maxLineBytes of the file source, or check that the file is text with line ends.',
    )
  }
}
