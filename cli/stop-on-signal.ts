import { EXIT } from './exit-codes.js'

const CODES = { SIGINT: EXIT.interrupted, SIGTERM: EXIT.terminated } as const

export interface SignalWatch {
  /** The exit code of the signal that asked for the end; undefined when none did. */
  readonly exitCode: number | undefined
  /** Gives the signals back to Node. */
  close(): void
}

/** The first SIGINT or SIGTERM calls `stop`; the second ends the process at once. */
export function stopOnSignal(stop: (signal: NodeJS.Signals) => void, endNow: (code: number) => void): SignalWatch {
  let exitCode: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    const code = CODES[signal as keyof typeof CODES]
    if (exitCode !== undefined) {
      endNow(code)
      return
    }
    exitCode = code
    stop(signal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    get exitCode() {
      return exitCode
    },
    close() {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
}
