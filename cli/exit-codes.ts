/**
 * Exit codes of `millrace`. `usage`: the command line is wrong. `timedOut`: what was asked was not done in time. `refused`: the job does not do
 * it in the state that it is in, and may later. A signal ends with 128 plus its number, as shells expect.
 */
export const EXIT = { finished: 0, failed: 1, usage: 2, timedOut: 3, refused: 4, interrupted: 130, brokenPipe: 141, terminated: 143 } as const

/** The exit code of a command that ended with an error of this code. */
export function exitCodeOf(code: unknown): number {
  switch (code) {
    case 'OPTION_INVALID':
      return EXIT.usage
    case 'CONTROL_TIMEOUT':
      return EXIT.timedOut
    case 'CONTROL_REFUSED':
      return EXIT.refused
    default:
      return EXIT.failed
  }
}
