import { MillraceError } from '../runtime/core/index.js'

/** OPTION_INVALID for words of the command line, each of which may be right, that cannot be meant together or mean nothing here. */
export function wrongCommandLine(what: string, todo: string): MillraceError {
  return new MillraceError('OPTION_INVALID', { what, where: 'command line', todo })
}
