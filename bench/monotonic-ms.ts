// Each thread counts performance.now() from its own start; process.hrtime is the same clock in all of them.
const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Milliseconds with fractions of a clock that all threads of the process share and that never goes back. */
export function monotonicMs(): number {
  return performance.now() + offset
}
