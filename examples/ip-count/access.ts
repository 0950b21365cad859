/** One request of an access log. */
export interface Access {
  /** Address or host name of the client, as logged. */
  readonly ip: string
  /** When the server received the request, epoch milliseconds. */
  readonly timestampMs: number
  /** `-` when the request line could not be read (Apache's 408 and 400). */
  readonly method: string
  /** The path with its query; the whole request field when it is not `METHOD path`. */
  readonly path: string
  readonly status: number
  /** Bytes of the answer's body, 0 where the log has `-`. */
  readonly bytes: number
}

export type ParsedLine = { readonly ok: true; readonly access: Access } | { readonly ok: false; readonly reason: string }

/** A line that is no access, with where it stood. */
export interface MalformedLine {
  readonly line: string
  /** Counted from 1; 0 where the source does not count lines. */
  readonly lineNumber: number
  readonly reason: string
}

export function malformed(reason: string): ParsedLine {
  return { ok: false, reason }
}
