/**
 * The first try and four more. Before each the SDK waits for longer, by chance: up to 1, 2, 4 and 8 s when the service throttles, much less when
 * a call has failed otherwise. It stops early when almost everything fails.
 */
const ATTEMPTS = 5
const CONNECT_MS = 3_000
const TIMEOUT_MS = 15_000

/** How often and how long a client of AWS tries. A call that gets no answer is tried again instead of being waited for until the function's time is over. */
export function callSettings(timeoutMs = TIMEOUT_MS) {
  return {
    maxAttempts: ATTEMPTS,
    requestHandler: { connectionTimeout: CONNECT_MS, requestTimeout: timeoutMs, socketTimeout: timeoutMs, throwOnRequestTimeout: true },
  }
}
