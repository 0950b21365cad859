import { MillraceError } from '../../core/index.js'

export interface FailedCall {
  /** Operation of the service. */
  readonly what: string
  readonly where: string
  /** What was thrown. */
  readonly cause?: unknown
  /** Name and message of what the service said, where nothing was thrown. */
  readonly why?: string
  /** What the caller's role must allow, such as `kinesis:PutRecords on the stream`. */
  readonly allow: string
  /** What to do when nothing better is known. */
  readonly todo: string
}

/** A call of AWS that has been made often enough. */
export function callFailed(code: 'AWS_CALL' | 'SOURCE_FAILED', { what, where, cause, why, allow, todo }: FailedCall): MillraceError {
  const { name, message } = cause instanceof Error ? cause : { name: 'Error', message: '' }
  // The error says its cause's message by itself.
  return new MillraceError(code, {
    what: `${what} failed with ${why ?? name}`,
    where,
    todo: knownTodo(why ?? `${name}: ${message}`, allow) ?? todo,
    cause,
  })
}

function knownTodo(why: string, allow: string): string | undefined {
  if (/^(?:ResourceNotFoundException|NoSuchBucket)\b/.test(why))
    return 'Check the name, the region and the account; --bind name=physical says what a logical name is called.'
  if (why.startsWith('AccessDenied')) return `Allow ${allow}.`
  if (/Credential|Region/.test(why)) return 'Set AWS_REGION and credentials (or AWS_PROFILE) as for any program that uses the AWS SDK.'
  return undefined
}
