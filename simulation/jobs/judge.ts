import type { JobFacts, SimulatedJob } from './simulated-job.js'

/** At most so many missing and so many surplus outputs of a sink are told. */
const TOLD = 3

/** What is wrong with a run's outputs, in lines: the comparison where the job is exact, and the job's own check. */
export async function judge(job: SimulatedJob, facts: JobFacts): Promise<string[]> {
  const wrong = unknownSinks(job, facts)
  if (job.compare === 'exact') for (const [sink, expected] of await job.expected()) wrong.push(...differences(job, sink, expected, facts))
  return [...wrong, ...job.check(facts)]
}

function unknownSinks(job: SimulatedJob, { outputs }: JobFacts): string[] {
  return [...outputs.keys()].filter((sink) => !job.sinks.includes(sink)).map((sink) => `${sink}: the job has no such sink`)
}

function differences(job: SimulatedJob, sink: string, expected: readonly string[], { outputs }: JobFacts): string[] {
  const open = new Map<string, number>()
  for (const text of expected) open.set(text, (open.get(text) ?? 0) + 1)
  for (const { value } of outputs.get(sink) ?? []) {
    const text = job.canonical(sink, value)
    open.set(text, (open.get(text) ?? 0) - 1)
  }
  const told = (what: string, which: (count: number) => boolean) => {
    const texts = [...open].filter(([, count]) => which(count))
    const count = texts.reduce((sum, [, each]) => sum + Math.abs(each), 0)
    const some = texts.slice(0, TOLD).map(([text]) => text)
    return count === 0 ? [] : [`${sink}: ${count} ${what}: ${some.join(' ')}${texts.length > TOLD ? ' …' : ''}`]
  }
  return [...told('missing', (count) => count > 0), ...told('too many', (count) => count < 0)]
}
