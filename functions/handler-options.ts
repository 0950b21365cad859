import type { SendMessage } from './sqs-sender.js'

/** What a function finds around it; for tests, since Lambda's own is the default. */
export interface HandlerOptions {
  /** Default: the environment variables of the process. */
  readonly variables?: Readonly<Record<string, string | undefined>>
  /** Default: through SQS. */
  readonly send?: SendMessage
  /** Takes lines for the function's log. Default: standard output, which is that. */
  readonly log?: (line: string) => void
}
