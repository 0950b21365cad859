export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * The same invocations seen in several rounds: of each the median of its CPU time, in the order of the first round. Rounds with another number of
 * invocations than the first (a message more or less) are left out; the first counts always.
 */
export function typical<T extends { readonly cpuMs: number }>(rounds: readonly (readonly T[])[]): T[] {
  const [first, ...others] = rounds
  const alike = [first, ...others.filter(({ length }) => length === first.length)]
  return first.map((invocation, at) => ({ ...invocation, cpuMs: median(alike.map((round) => round[at].cpuMs)) }))
}
