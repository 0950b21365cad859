/** Bytes of a file that have arrived. A decoder moves `position` behind every record it has emitted or passed over. */
export interface ByteWindow {
  readonly bytes: Buffer
  /** Index into `bytes` of the first byte not consumed. */
  position: number
  /** No record that starts at this index or behind it is to be emitted; Infinity when the split has no end. */
  readonly limit: number
  /** Nothing follows `bytes`: what is there is the last record, even without a line end. */
  readonly final: boolean
  /** All bytes are ASCII, so Latin-1 decodes them right, and faster. */
  readonly ascii: boolean
}

/** What a file format's decoder starts with. */
export interface DecoderContext {
  readonly path: string
  /** What {@link RecordDecoder.snapshot} gave, at a restore; else undefined. */
  readonly restored: unknown
  /** A longer record is refused. */
  readonly maxRecordBytes: number
}

/** Finds and parses the records of one split, in order. */
export interface RecordDecoder<T> {
  /**
   * Emits up to `max` whole records from the window and returns how many; fewer than `max` means that more bytes are needed or that
   * the limit is reached. Throws {@link MalformedRecord} with the window's position at the start of the bad record.
   */
  decode(window: ByteWindow, max: number, emit: (value: T) => void): number
  /** Plain data that a decoder needs to go on from the window's position: line number, header. */
  snapshot(): unknown
}

/** How a file's bytes become elements. `lines`, `ndjson` and `csv` are three; write another by implementing this. */
export interface FileFormat<T> {
  readonly name: string
  /** No record spans a line end and none needs its line number, so a large file may be cut into byte ranges at line ends. */
  readonly splittable: boolean
  createDecoder(context: DecoderContext): RecordDecoder<T>
}

/** An element of a format with `malformed: 'emit'`: the record, or the text that is none. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly line: string; readonly lineNumber: number; readonly file: string; readonly error: string }

/** A record cannot be parsed. The reader turns it into a RECORD_MALFORMED error with file and line. */
export class MalformedRecord extends Error {
  override readonly name = 'MalformedRecord'

  constructor(
    /** What is wrong, e.g. `the line is not JSON`. */
    readonly what: string,
    /** Line (from 1) on which the record starts, counted from the start of the split. */
    readonly lineNumber: number,
    readonly todo: string,
    cause?: unknown,
  ) {
    super(what, { cause })
  }
}
