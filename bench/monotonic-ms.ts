// Each thread counts performance.now() from its own start; process.hrtime is the same clock in all of them.
const offset = Math.max(...Array.from({ length: 100 }, offsetNow))

/** Too small by what passes between the two readings: the largest of many is right to a microsecond or so. */
function offsetNow(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now()
}

/** Milliseconds with fractions of a clock that all threads of the process share and that never goes back. */
export function monotonicMs(): number {
  return performance.now() + offset
}
