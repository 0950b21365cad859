import { ERROR_CODES, type ErrorCode, type ErrorDomain } from './error-codes.js'

/** What a {@link MillraceError} says beside its code. */
export interface ErrorDetail {
  /** What happened, as a sentence without a full stop. */
  readonly what: string
  /** Where: operator, file and line, option. */
  readonly where?: string | undefined
  /** What to do next. */
  readonly todo?: string | undefined
  /** uid of the operator concerned. */
  readonly uid?: string | undefined
  readonly cause?: unknown
}

/**
 * The one error class of Millrace. Its message says what happened, where, and what to do next.
 * An expected race is never an exception; a bug is an {@link assert}.
 */
export class MillraceError extends Error {
  override readonly name = 'MillraceError'
  readonly code: ErrorCode
  readonly domain: ErrorDomain
  readonly retryable: boolean
  readonly detail: ErrorDetail

  constructor(code: ErrorCode, detail: ErrorDetail) {
    super(formatMessage(code, detail), detail.cause === undefined ? undefined : { cause: detail.cause })
    this.code = code
    this.domain = ERROR_CODES[code].domain
    this.retryable = ERROR_CODES[code].retryable
    this.detail = detail
  }

  get uid(): string | undefined {
    return this.detail.uid
  }

  /** A form that survives structured cloning between threads; {@link MillraceError.fromPlain} reads it back. */
  toPlain(): PlainError {
    const { cause, ...detail } = this.detail
    return { code: this.code, detail, causeText: cause === undefined ? undefined : describeCause(cause), stack: causeStack(cause) ?? this.stack }
  }

  static fromPlain(plain: PlainError): MillraceError {
    let cause: unknown
    if (plain.causeText !== undefined) {
      const error = new Error(plain.causeText)
      if (plain.stack !== undefined) error.stack = plain.stack
      cause = error
    }
    return new MillraceError(plain.code, { ...plain.detail, cause })
  }

  /** Any thrown value as a MillraceError; one that already is stays as it is. */
  static from(thrown: unknown, code: ErrorCode, detail: Omit<ErrorDetail, 'cause'>): MillraceError {
    return thrown instanceof MillraceError ? thrown : new MillraceError(code, { ...detail, cause: thrown })
  }
}

/** A {@link MillraceError} as plain data, as it crosses threads and processes. */
export interface PlainError {
  readonly code: ErrorCode
  readonly detail: Omit<ErrorDetail, 'cause'>
  readonly causeText: string | undefined
  readonly stack: string | undefined
}

function formatMessage(code: ErrorCode, detail: ErrorDetail): string {
  const lines = [`${code}: ${detail.what}${detail.cause === undefined ? '' : ` (${describeCause(detail.cause)})`}`]
  if (detail.where !== undefined) lines.push(`  where: ${detail.where}`)
  if (detail.todo !== undefined) lines.push(`  what to do: ${detail.todo}`)
  return lines.join('\n')
}

/** A thrown value of any kind as text. */
export function describeCause(cause: unknown): string {
  if (cause instanceof Error) return cause.message || cause.name
  return typeof cause === 'string' ? cause : String(cause)
}

function causeStack(cause: unknown): string | undefined {
  return cause instanceof Error ? cause.stack : undefined
}

/** For what cannot be unless Millrace has a bug. On in production. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) {
    throw new MillraceError('ASSERTION', { what: invariant, todo: 'This is a bug in Millrace: please report it with the stack trace.' })
  }
}
