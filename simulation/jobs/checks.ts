import type { JobFacts } from './simulated-job.js'

/** At most so many faults of one sort are told. */
const TOLD = 3

export function valuesOf<T>(facts: JobFacts, sink: string): readonly T[] {
  return (facts.outputs.get(sink) ?? []).map(({ value }) => value as T)
}

/** Each of `wanted` is among `got` once, and nothing else is. */
export function eachOnce(what: string, got: Iterable<number>, wanted: Iterable<number>): string[] {
  const counts = new Map<number, number>()
  for (const id of wanted) counts.set(id, 0)
  const unknown: number[] = []
  for (const id of got) {
    const count = counts.get(id)
    if (count === undefined) unknown.push(id)
    else counts.set(id, count + 1)
  }
  const missing = [...counts].filter(([, count]) => count === 0).map(([id]) => id)
  const repeated = [...counts].filter(([, count]) => count > 1).map(([id]) => id)
  return [...told(`${what} without`, missing), ...told(`${what} more than once with`, repeated), ...told(`${what} with the unknown`, unknown)]
}

/** For each name the numbers are 1, 2, 3, … in some order, each once. */
export function countedWithoutGaps(what: string, counted: Iterable<readonly [string, number]>): string[] {
  const byName = new Map<string, number[]>()
  for (const [name, n] of counted) {
    const numbers = byName.get(name)
    if (numbers === undefined) byName.set(name, [n])
    else numbers.push(n)
  }
  const wrong: string[] = []
  for (const [name, numbers] of byName) {
    numbers.sort((a, b) => a - b)
    const at = numbers.findIndex((n, i) => n !== i + 1)
    if (at >= 0) wrong.push(`${name} has ${numbers[at]} where ${at + 1} should be`)
  }
  return told(what, wrong)
}

export function told(what: string, cases: readonly (number | string)[]): string[] {
  if (cases.length === 0) return []
  return [`${what} ${cases.slice(0, TOLD).join(', ')}${cases.length > TOLD ? ` and ${cases.length - TOLD} more` : ''}`]
}
