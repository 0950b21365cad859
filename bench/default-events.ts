import type { JobName } from './jobs/index.js'

const M = 1_000_000

// So many that Flink runs for 10 s or more on two cores: shorter runs understate it, since its JIT warms up longer.
const AT_ONE: Record<JobName, number> = {
  ipcount: 12 * M,
  wordcount: 4 * M,
  q0: 16 * M,
  q1: 14 * M,
  q2: 18 * M,
  q3: 14 * M,
  q4: 6 * M,
  q5: 6 * M,
  q7: 11 * M,
  q8: 13 * M,
  q11: 8 * M,
}
const AT_TWO: Record<JobName, number> = {
  ipcount: 16 * M,
  wordcount: 6 * M,
  q0: 40 * M,
  q1: 30 * M,
  q2: 40 * M,
  q3: 25 * M,
  q4: 8 * M,
  q5: 8 * M,
  q7: 20 * M,
  q8: 20 * M,
  q11: 10 * M,
}

/** Source events for a comparison; both engines get the same. */
export function defaultEvents(job: JobName, parallelism: number, scale: number): number {
  return Math.max(1, Math.round((parallelism === 1 ? AT_ONE : AT_TWO)[job] * scale))
}
