/** How long an invocation of the control function may take, ms: as long as its stack lets it (CONTROL_TIMEOUT in cdk/job-functions.ts, which a test holds equal). */
export const CONTROL_TIMEOUT_MS = 120_000
