import { appendFileSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { listOf, positiveNumber, start, wholeNumber } from './command-line.js'
import { compareMedians, differingResults } from './comparison.js'
import { comparisonTable, disturbances } from './comparison-report.js'
import { type CompareOptions, runComparisons, type Side } from './comparison-runs.js'
import { isJobName, JOB_NAMES, type JobName } from './jobs/index.js'
import { machine } from './machine.js'

// npm run -s bench:compare: Flink and Millrace in turn, a process each, the same data; medians and ratios.
// With --checkpoint MS: Millrace without and with checkpoints instead.
const DEFAULT_ROUNDS = { flink: 3, checkpoint: 7 }

type CommandOptions = Omit<CompareOptions, 'rounds'> & { readonly rounds?: number; readonly checkpoint: number; readonly out?: string }

await start(
  new Command('bench:compare')
    .option('--jobs <names>', 'jobs to run', listOf(readJobName), [...JOB_NAMES])
    .option('--parallelism <list>', 'parallelisms to run at', listOf(wholeNumber(1)), [1, 2])
    .option('--rounds <n>', 'runs of each side (default: 3, with --checkpoint 7)', wholeNumber(1))
    .option('--scale <factor>', 'multiplies the numbers of events', positiveNumber, 1)
    .option('--eps <n>', 'events a second of event time', wholeNumber(1), 10_000)
    .option('--checkpoint <ms>', 'compare Millrace with itself with checkpoints at this interval', wholeNumber(1), 0)
    .option('--out <file>', 'append every run to this file, a line of JSON each')
    .action(compare),
)

async function compare(options: CommandOptions): Promise<void> {
  const checkpointing = options.checkpoint > 0
  const base: Side = checkpointing ? { name: 'off', engine: 'millrace', checkpoint: 0 } : { name: 'Flink', engine: 'flink', checkpoint: 0 }
  const candidate: Side = { name: checkpointing ? `${options.checkpoint} ms` : 'Millrace', engine: 'millrace', checkpoint: options.checkpoint }
  const rounds = options.rounds ?? (checkpointing ? DEFAULT_ROUNDS.checkpoint : DEFAULT_ROUNDS.flink)

  const outcome = await runComparisons(base, candidate, { ...options, rounds }, (result) => {
    process.stderr.write(`${result.engine} ${result.job} p=${result.parallelism}: ${result.eventsPerSec} events/s, ${result.cpuSec} CPU s\n`)
    if (options.out !== undefined) appendFileSync(options.out, `${JSON.stringify(result)}\n`)
  })
  if (outcome.kind === 'failed') return fail([`${outcome.command}: ${outcome.why}`])

  const runs = outcome.comparisons.flatMap((c) => [...c.base, ...c.candidate])
  const { cpu, cores, node } = machine()
  const engines = [...new Set(runs.map((run) => run.engine))].join(', ')
  print(comparisonTable(outcome.comparisons.map(compareMedians), { base: base.name, candidate: candidate.name }))
  print(
    `\nMedians of ${rounds} rounds on ${cores} x ${cpu}, ${engines}, Node ${node}, ${process.platform}. Ratios: ${candidate.name} to ${base.name}.`,
  )
  for (const disturbance of disturbances(runs)) print(`Warning: ${disturbance}.`)
  const differences = differingResults(runs)
  if (differences.length > 0) fail(['The results differ:', ...differences])
  else print('All runs of a job gave the same outputs and hash.')
}

function readJobName(name: string): JobName {
  if (isJobName(name)) return name
  throw new InvalidArgumentError(`'${name}' is no benchmark job; there are ${JOB_NAMES.join(', ')}.`)
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function fail(lines: readonly string[]): void {
  process.stderr.write(`${lines.join('\n')}\n`)
  process.exitCode = 1
}
