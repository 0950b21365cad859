import { inspect } from 'node:util'
import { MillraceError } from '../runtime/core/index.js'
import { mappedStack } from './mapped-stack.js'

/** Takes one line of a function's log. */
export type WriteLine = (line: string) => void

/** As it is, which `console.log` is not on Lambda: CloudWatch finds metrics in lines that are JSON and nothing else. */
export const writeLine: WriteLine = (line) => {
  process.stdout.write(`${line}\n`)
}

/**
 * One line of JSON for an error: `level`, the labels, `code` (of docs/errors.md), `uid` of the operator, `message` and `stack`. A batch that must wait is told as
 * what it is, no error: nothing is wrong with the job.
 */
export function logError(error: unknown, labels: Readonly<Record<string, string>>, write: WriteLine): void {
  const { code, uid } = error instanceof MillraceError ? error : { code: undefined, uid: undefined }
  const level = code === 'BATCH_REFUSED' ? 'INFO' : 'ERROR'
  const message = error instanceof Error ? error.message : String(error)
  write(JSON.stringify({ level, ...labels, code, uid, message, stack: level === 'ERROR' ? mappedStack(inspect(error)) : undefined }))
}
