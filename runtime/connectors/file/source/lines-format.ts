import type { FileFormat } from './file-format.js'
import { LineDecoder } from './line-decoder.js'

/** Options of the line format of file sources. */
export interface LinesOptions {
  /** Default utf8; bytes that are not UTF-8 become U+FFFD. latin1 takes any byte. */
  readonly encoding?: 'utf8' | 'latin1'
  /** Elements are {@link PositionedLine}s. A file is then read whole by one subtask, as a byte range does not know its line numbers. */
  readonly withPosition?: boolean
}

/** A line with its place. */
export interface PositionedLine {
  readonly line: string
  /** From 1. */
  readonly lineNumber: number
  readonly file: string
}

/** Every line of a text file, without its line end (`\n` or `\r\n`). A last line needs no line end. */
export function lines(options: LinesOptions & { readonly withPosition: true }): FileFormat<PositionedLine>
export function lines(options?: LinesOptions & { readonly withPosition?: false }): FileFormat<string>
export function lines(options: LinesOptions = {}): FileFormat<string> | FileFormat<PositionedLine> {
  const { encoding = 'utf8', withPosition = false } = options
  if (withPosition) {
    return { name: 'lines', splittable: false, createDecoder: (context) => new PositionedLinesDecoder(context, encoding) }
  }
  return { name: 'lines', splittable: true, createDecoder: (context) => new LinesDecoder(context, encoding) }
}

class LinesDecoder extends LineDecoder<string> {
  protected emitLine(line: string, emit: (value: string) => void): boolean {
    emit(line)
    return true
  }
}

class PositionedLinesDecoder extends LineDecoder<PositionedLine> {
  protected emitLine(line: string, emit: (value: PositionedLine) => void): boolean {
    emit({ line, lineNumber: this.lineNumber, file: this.path })
    return true
  }
}
