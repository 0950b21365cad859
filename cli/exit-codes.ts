/** Exit codes of `millrace`. A signal ends with 128 plus its number, as shells expect. */
export const EXIT = { finished: 0, failed: 1, usage: 2, interrupted: 130, brokenPipe: 141, terminated: 143 } as const
