import { describe, expect, it } from 'vitest'
import type { Sink } from '../../runtime/index.js'
import { Chance } from '../../simulation/chance.js'
import { GeneratedJob } from '../../simulation/jobs/generated-job.js'
import {
  generateJob,
  JOB_KINDS,
  type JobBindings,
  type JobFacts,
  type JobKind,
  judge,
  type OutputFact,
  POISONABLE,
} from '../../simulation/jobs/index.js'
import { runInterleaved } from './jobs-interleaved.js'

const SEEDS = 20

function jobOf(kind: JobKind, seed: number): GeneratedJob {
  return generateJob(new Chance(seed, kind), { kinds: [kind] })
}

function jobsOf(kind: JobKind): GeneratedJob[] {
  return Array.from({ length: SEEDS }, (_, seed) => jobOf(kind, seed))
}

const bindings: JobBindings = {
  sinkFor: (name): Sink<unknown> => ({ name, createWriter: () => ({ write: () => {}, prepareCommit: () => [], close: () => {} }) }),
  chance: () => 0.5,
}

describe('a generated job', () => {
  it('is of every kind in turn', () => {
    const random = new Chance(1)
    const kinds = new Set(Array.from({ length: 600 }, () => generateJob(random).kind))
    expect([...kinds].sort()).toEqual([...JOB_KINDS].sort())
  })

  it('is the same for the same seed', async () => {
    for (const kind of JOB_KINDS) {
      const [one, other] = [jobOf(kind, 7), jobOf(kind, 7)]
      expect(one.name).toBe(other.name)
      expect(one.records).toEqual(other.records)
      expect(one.describe(2, bindings).graph).toEqual(other.describe(2, bindings).graph)
      expect(await one.expected()).toEqual(await other.expected())
    }
    expect(new Set(jobsOf('tumbling').map(({ name }) => name)).size).toBeGreaterThan(SEEDS / 2)
  })

  it.each(JOB_KINDS)('of the kind %s has stages, splits and a plan for each parallelism', (kind) => {
    for (const job of jobsOf(kind)) {
      expect(job.records.length).toBeGreaterThanOrEqual(30)
      expect(job.records.length).toBeLessThanOrEqual(120)
      for (const parallelism of [1, 2, 3]) {
        const { graph, nodes } = job.describe(parallelism, bindings)
        expect(graph.vertices.length, job.name).toBeGreaterThanOrEqual(2)
        const sources = graph.vertices.filter(({ operators }) => operators[0].isSource)
        expect(sources.map(({ id }) => id).sort()).toEqual(job.streams.map(({ name }) => name).sort())
        for (const { parallelism: subtasks } of sources) expect(subtasks).toBe(1)
        const sinks = [...nodes].filter(([, { isSink }]) => isSink).map(([uid]) => uid)
        expect(sinks.sort()).toEqual([...job.sinks].sort())
      }
    }
  })

  it('has stages that do not depend on its parallelism, but for one that sees the whole stream', () => {
    let alike = 0
    for (const kind of JOB_KINDS) {
      for (const job of jobsOf(kind)) {
        const [one, three] = [1, 3].map((parallelism) =>
          job.describe(parallelism, bindings).graph.vertices.map(({ operators }) => operators.map(({ uid }) => uid)),
        )
        if (job.name.includes('all ')) continue
        expect(one, job.name).toEqual(three)
        alike++
      }
    }
    expect(alike).toBeGreaterThan((JOB_KINDS.length * SEEDS) / 2)
  })

  it('gives function objects of its own to each description', () => {
    const job = jobOf('operator-state', 3)
    const [one, other] = [job.describe(1, bindings), job.describe(1, bindings)]
    const functionOf = (described: typeof one) => (described.nodes.get('tokens')?.createOperator?.() as { readonly fn?: object } | undefined)?.fn
    expect(functionOf(one)).toBeDefined()
    expect(functionOf(one)).not.toBe(functionOf(other))
  })

  it.each(JOB_KINDS)('of the kind %s has outputs, and no late items where nothing may be late', async (kind) => {
    let outputs = 0
    for (const job of jobsOf(kind)) {
      const expected = await job.expected()
      expect([...expected.keys()].sort()).toEqual([...job.sinks].sort())
      for (const [sink, values] of expected) {
        outputs += values.length
        if (sink === 'late' && job.compare === 'exact') expect(values, job.name).toEqual([])
      }
    }
    // Where the clock stands still, processing-time windows are few.
    expect(outputs / SEEDS).toBeGreaterThan(kind === 'processing-time' ? 2 : 10)
  })
})

describe('what must come out', () => {
  it.each(JOB_KINDS)('comes out however splits interleave, at each parallelism: %s', async (kind) => {
    for (const [seed, job] of jobsOf(kind).entries()) {
      for (const parallelism of [1, 2, 3]) {
        const facts = await runInterleaved(job, { seed, parallelism })
        expect(await judge(job, facts), `${kind} seed ${seed}, ${job.name}, at parallelism ${parallelism}`).toEqual([])
      }
    }
  })

  it.each(JOB_KINDS)('comes out when it goes on from a snapshot with another parallelism: %s', async (kind) => {
    for (const [seed, job] of jobsOf(kind).entries()) {
      const parallelism = 1 + (seed % 3)
      for (const rescaleTo of [1, 2, 3]) {
        const facts = await runInterleaved(job, { seed, parallelism, rescaleTo })
        expect(await judge(job, facts), `${kind} seed ${seed}, ${job.name}, from ${parallelism} to ${rescaleTo}`).toEqual([])
      }
    }
  })
})

describe('a job with a function that throws for some items', () => {
  it.each(POISONABLE)('has the same outputs once it has been mended: %s', async (kind) => {
    let missed = 0
    for (let seed = 0; seed < SEEDS; seed++) {
      const job = generateJob(new Chance(seed, kind), { kinds: [kind], poison: new Chance(seed, 'poison') })
      const mended = new GeneratedJob(job.kind, job.plan, job.parallelism, job.maxParallelism, { ids: new Set(), policy: 'repair' })
      const facts = await runInterleaved(mended, { seed, parallelism: 1 + (seed % 3) })
      expect(await judge(mended, facts), mended.name).toEqual([])
      if (job.poison?.policy === 'bury' && (await judge(job, facts)).length > 0) missed++
    }
    // What is buried is not expected.
    expect(missed).toBeGreaterThan(5)
  })
})

describe('the judge', () => {
  it.each(JOB_KINDS)('notices any output that is missing, comes twice or is none of the job: %s', async (kind) => {
    for (const [seed, job] of jobsOf(kind).entries()) {
      const facts = await runInterleaved(job, { seed, parallelism: 2 })
      for (const [sink, values] of facts.outputs) {
        if (values.length === 0) continue
        const at = seed % values.length
        expect(await judge(job, withOutputs(facts, sink, values.toSpliced(at, 1))), `${job.name}: one less in ${sink}`).not.toEqual([])
        expect(await judge(job, withOutputs(facts, sink, values.toSpliced(at, 0, values[at]))), `${job.name}: one twice in ${sink}`).not.toEqual([])
        const foreign = { value: shifted(values[at].value) }
        expect(
          await judge(job, withOutputs(facts, sink, values.toSpliced(at, 0, foreign))),
          `${job.name}: one that cannot be in ${sink}`,
        ).not.toEqual([])
        const again = [...values, values[at]]
        expect(await judge(job, withOutputs(facts, sink, again)), `${job.name}: one again at the end of ${sink}`).not.toEqual([])
      }
    }
  })

  it('notices an output of another run where chance was other', async () => {
    let noticed = 0
    for (const [seed, job] of jobsOf('random').entries()) {
      const one = await runInterleaved(job, { seed, parallelism: 2 })
      const other = await runInterleaved(job, { seed: seed + 1_000, parallelism: 2 })
      const sink = job.sinks[0]
      const wrong = await judge(job, withOutputs(one, sink, other.outputs.get(sink) ?? []))
      // A story told by one sink alone is whole.
      if (job.sinks.length === 1) expect(wrong).toEqual([])
      else {
        expect(wrong.join(), job.name).toContain('two stories')
        noticed++
      }
    }
    expect(noticed).toBeGreaterThan(5)
  })

  it('notices that operator state was lost', async () => {
    let noticed = 0
    for (const [seed, job] of jobsOf('operator-state').entries()) {
      const facts = await runInterleaved(job, { seed, parallelism: 2 })
      const values = facts.outputs.get('out') as readonly { readonly value: { readonly id: number; readonly token: number; readonly n: number } }[]
      const { token } = values[values.length - 1].value
      // The count begins anew, with a token of a new name, behind the first half.
      const counted = values.filter(({ value }) => value.token === token)
      const half = Math.floor(counted.length / 2)
      const anew = values.map(({ value }) =>
        value.token === token && value.n > half ? { value: { ...value, token: counted[half].value.id, n: value.n - half } } : { value },
      )
      const withoutSplits = { ...withOutputs(facts, 'out', anew), parallelisms: [2], splits: new Map([['items', tokens(values)]]) }
      const inSource = job.name.includes('in the source')
      if (half === 0 || (!inSource && tokens(values) !== 2)) continue
      expect(await judge(job, withoutSplits), job.name).not.toEqual([])
      noticed++
    }
    expect(noticed).toBeGreaterThan(SEEDS / 2)
  })
})

/** The same with other numbers. */
function shifted(value: unknown): unknown {
  if (typeof value === 'number') return value + 1_000_000
  if (Array.isArray(value)) return value.map(shifted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, shifted(part)]))
}

function tokens(values: readonly { readonly value: { readonly token: number } }[]): number {
  return new Set(values.map(({ value }) => value.token)).size
}

function withOutputs(facts: JobFacts, sink: string, values: readonly OutputFact[]): JobFacts {
  return { ...facts, outputs: new Map([...facts.outputs, [sink, values]]) }
}
