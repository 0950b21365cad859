import { setTimeout as pause } from 'node:timers/promises'
import { isAwsError } from '../../backends/aws/aws-call.js'

/** Behind the SDK's own tries, which take seconds, a call is made again so often; each pause is twice the last. */
const TRIES = 8
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000

const PASSING = [
  'ProvisionedThroughputExceededException',
  'LimitExceededException',
  'KMSThrottlingException',
  'ThrottlingException',
  'RequestLimitExceeded',
  'SlowDown',
  'TransactionInProgressException',
  'InternalFailure',
  'InternalFailureException',
  'ServiceUnavailable',
  'TimeoutError',
]

/** Makes the call again, with pauses, while what it fails with may pass: throttling, failures of the service or of the network. */
export async function patiently<T>(call: () => Promise<T>, options: { readonly signal?: AbortSignal; readonly tries?: number } = {}): Promise<T> {
  const { signal, tries = TRIES } = options
  for (let tried = 1; ; tried++) {
    try {
      return await call()
    } catch (thrown) {
      if (tried >= tries || !isPassing(thrown) || signal?.aborted === true) throw thrown
      await backOff(tried, signal)
    }
  }
}

/** The pause behind the `tried`th try: 0.5 s, 1 s, 2 s, … 15 s. Rejects when `signal` says so. */
export async function backOff(tried: number, signal?: AbortSignal): Promise<void> {
  await pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tried - 1)), undefined, signal === undefined ? {} : { signal })
}

export function isPassing(thrown: unknown): boolean {
  if (isAwsError(thrown, ...PASSING)) return true
  const { $metadata, code } = (thrown ?? {}) as { readonly $metadata?: { readonly httpStatusCode?: number }; readonly code?: unknown }
  return ($metadata?.httpStatusCode ?? 0) >= 500 || (typeof code === 'string' && /^E[A-Z]+$/.test(code))
}
