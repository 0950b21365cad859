import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Command, InvalidArgumentError, Option } from 'commander'
import { integer } from '../cli/option-parsers.js'
import { FAULT_KINDS, type FaultKind } from './faults.js'
import { JOB_KINDS, type JobKind } from './jobs/index.js'
import { MUTANTS, mutantNamed } from './mutants.js'
import { PROFILES, profileNamed } from './profiles.js'
import { count, coverage, emptyTally, median, merge, type Tally } from './report.js'
import { type SeedOptions, simulate } from './run.js'
import { commandOf, shrink } from './shrink.js'

interface Flags {
  readonly seeds?: readonly [number, number]
  readonly minutes?: number
  readonly profile?: string
  readonly kind?: string
  readonly mutant?: string
  readonly without?: readonly FaultKind[]
  readonly decisions?: number
  readonly records?: number
  readonly faultsFor?: number
  readonly coverage?: boolean
  readonly listMutants?: boolean
  readonly listProfiles?: boolean
  readonly trace?: boolean
  readonly json?: boolean
  readonly keepGoing?: boolean
  readonly workers: number
}

/** A part of the seeds for one worker. */
interface Chunk {
  readonly first: number
  readonly last: number
}

const CHUNK_SEEDS = 20

function range(text: string): readonly [number, number] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text)
  const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
  if (match === null || last < first) throw new InvalidArgumentError('Give one seed or a range such as 1-500.')
  return [first, last]
}

function minutes(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('Give a number above 0.')
  return value
}

function profile(text: string): string {
  if (profileNamed(text) === undefined) throw new InvalidArgumentError('There is no such profile; --list-profiles shows them.')
  return text
}

function faultKinds(text: string): readonly FaultKind[] {
  const kinds = text.split(',').filter((kind) => kind !== '')
  const unknown = kinds.find((kind) => !FAULT_KINDS.includes(kind as FaultKind))
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no fault "${unknown}".`)
  return kinds as FaultKind[]
}

function program(): Command {
  return (
    new Command('simulate')
      // Not 1, which says that something was found.
      .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
      .description("Runs the engine's code for AWS on simulated ports: one seed drives time, chance and faults.")
      .option('--seeds <a-b>', 'seeds to run (default 1-100, or from 1 on with --minutes)', range)
      .option('--minutes <m>', 'no further seeds once so much time has passed', minutes)
      .option('--profile <name>', 'a mix of faults, by default the seed picks one', profile)
      .addOption(new Option('--kind <name>', 'a kind of job, by default the seed picks one').choices(JOB_KINDS))
      .option('--mutant <name>', 'the engine with a hole; exits with 1 as soon as it is found, with 0 if it is not')
      .option('--without <faults>', 'faults that never happen, with commas', faultKinds)
      .option('--decisions <n>', 'at most so many decisions of the operator', integer(0))
      .option('--records <n>', 'at most so many records (outputs are not compared)', integer(0))
      .option('--faults-for <ms>', 'faults end after so much virtual time', integer(0))
      .option('--coverage', 'show how often each fault, branch and invariant was hit; exits with 1 if one was not')
      .option('--mutants', 'run every mutant until it is found, a line of JSON for each; exits with 1 if one is not (--only a,b: these)')
      .option('--within <n>', 'seeds for each of the mutants, 20000 by default', integer(1))
      .option('--list-mutants', 'the names of the mutants, one a line (with --json what they are, too)')
      .option('--list-profiles', 'show the profiles')
      .option('--trace', 'print every event of a violating seed, or of the only one')
      .option('--json', 'one line of JSON')
      .option('--keep-going', 'go on behind a violation, and shrink none')
      .option('--workers <n>', 'threads', integer(1), availableParallelism())
  )
}

async function main(): Promise<number> {
  const flags = program().parse().opts<Flags>()
  if (flags.listMutants === true) return print(MUTANTS.map(({ name, what }) => (flags.json === true ? JSON.stringify({ name, what }) : name)))
  if (flags.listProfiles === true) return print(PROFILES.map(({ name, what }) => `${name}: ${what}`))
  const started = performance.now()
  const tally = await runAll(flags)
  const seconds = (performance.now() - started) / 1000
  if (flags.json === true) print([JSON.stringify(summary(tally, seconds))])
  else report(tally, seconds)
  const failed = tally.violations.length > 0
  if (failed && flags.keepGoing !== true && flags.json !== true && flags.mutant === undefined) await explain(flags, tally)
  else if (flags.trace === true) await printTrace(seedOptions(flags, seedsOf(flags)[0]))
  if (flags.coverage === true) {
    const { table, missing } = coverage(tally)
    print([table])
    if (missing.length > 0) {
      print([`Never hit: ${missing.join(', ')}`])
      return 1
    }
  }
  return failed ? 1 : 0
}

function print(lines: readonly string[]): 0 {
  for (const line of lines) console.log(line)
  return 0
}

function seedOptions({ profile: given, kind, without, decisions, records, faultsFor, mutant }: Flags, seed: number): SeedOptions {
  const { profiles, kinds } = (mutant === undefined ? undefined : mutantNamed(mutant)) ?? {}
  const profile = given ?? profiles?.[seed % profiles.length]
  const made = kinds?.[Math.floor(seed / (profiles?.length ?? 1)) % kinds.length]
  return { seed, profile, kind: (kind ?? made) as JobKind | undefined, without, decisions, records, faultsForMs: faultsFor }
}

function summary(tally: Tally, seconds: number): object {
  const { seeds, violations, commits, stages, faults, checkpoints } = tally
  const medians = { commits: median(commits), stages: median(stages), faults: median(faults), checkpoints: median(checkpoints) }
  return { seeds, violations, ...medians, seconds, cpuSeconds: cpuSeconds() }
}

/** Of all threads: how long a seed takes says nothing where others compute as well. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function report(tally: Tally, seconds: number): void {
  const { seeds, commits, stages, faults, checkpoints, violations } = tally
  print([
    `${seeds} seeds in ${seconds.toFixed(1)} s, ${((1000 * cpuSeconds()) / Math.max(1, seeds)).toFixed(0)} ms of CPU a seed; ${violations.length} violations`,
    `medians: ${median(commits)} commits, ${median(stages)} stages, ${median(faults)} faults, ${median(checkpoints)} checkpoints`,
    ...violations
      .slice(0, 20)
      .map(({ seed, profile, job, invariant, what }) => `seed ${seed}, ${profile}, ${job}\n  invariant ${invariant}: ${what}`),
  ])
}

async function explain(flags: Flags, tally: Tally): Promise<void> {
  const [{ seed }] = tally.violations
  const options = seedOptions(flags, seed)
  const found = await simulate(options)
  if (found.violation === undefined) return void print([`Seed ${seed} alone breaks nothing.`])
  const { options: shortest, result } = await shrink(options, found)
  print([`shortest: invariant ${result.violation?.invariant}, ${result.calls} events, ${result.commits} commits: ${result.violation?.what}`])
  print([`again: ${commandOf(shortest)}`])
  if (flags.trace === true) await printTrace(shortest)
}

async function printTrace(options: SeedOptions): Promise<void> {
  const { trace, violation, job, profile } = await simulate({ ...options, keepTrace: true })
  print([`${profile}, ${job}`, ...trace, violation === undefined ? 'no violation' : `invariant ${violation.invariant}: ${violation.what}`])
}

/** First and last. */
function seedsOf({ seeds, minutes }: Flags): readonly [number, number] {
  return seeds ?? [1, minutes === undefined ? 100 : Number.POSITIVE_INFINITY]
}

/** Deals the seeds out in chunks, to the last or until the time is up. */
async function runAll(flags: Flags): Promise<Tally> {
  const total = emptyTally()
  const until = flags.minutes === undefined ? undefined : performance.now() + flags.minutes * 60_000
  const [start, end] = seedsOf(flags)
  let next = start
  const take = (): Chunk | undefined => {
    if (total.violations.length > 0 && flags.keepGoing !== true) return undefined
    if (next > end || (until !== undefined && performance.now() > until)) return undefined
    const first = next
    next = Math.min(next + CHUNK_SEEDS, end + 1)
    return { first, last: next - 1 }
  }
  const many = until !== undefined || end - start >= CHUNK_SEEDS
  if (!many) {
    for (let chunk = take(); chunk !== undefined; chunk = take()) merge(total, await runChunk(flags, chunk))
    return total
  }
  await Promise.all(Array.from({ length: flags.workers }, () => work(flags, take, (tally) => merge(total, tally))))
  return total
}

async function runChunk(flags: Flags, { first, last }: Chunk): Promise<Tally> {
  const tally = emptyTally()
  for (let seed = first; seed <= last; seed++) {
    count(tally, await simulate(seedOptions(flags, seed)))
    if (tally.violations.length > 0 && flags.keepGoing !== true) break
  }
  return tally
}

function work(flags: Flags, take: () => Chunk | undefined, done: (tally: Tally) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { flags }, resourceLimits: { maxYoungGenerationSizeMb: 256 } })
    const next = (): void => {
      const chunk = take()
      if (chunk === undefined) void worker.terminate().then(() => resolve())
      else worker.postMessage(chunk)
    }
    worker.on('message', (tally: Tally) => {
      done(tally)
      next()
    })
    worker.on('error', reject)
    next()
  })
}

// A promise that nobody waits for and that fails is a bug of the engine or of the world.
process.on('unhandledRejection', (error) => {
  console.error(error)
  process.exit(3)
})

if (isMainThread) {
  process.exitCode = await main()
} else {
  const { flags } = workerData as { readonly flags: Flags }
  parentPort?.on('message', (chunk: Chunk) => void runChunk(flags, chunk).then((tally) => parentPort?.postMessage(tally)))
}
