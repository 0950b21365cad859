import { Command } from 'commander'
import { type RunCommandOptions, runCommand, start, wholeNumber } from './command-line.js'
import type { JobName } from './jobs/index.js'
import { runBench } from './run-bench.js'
import { type LatencyOptions, runLatency } from './run-latency.js'

// npm run -s bench -- JOB --events N --parallelism P [--checkpoint MS]: one run, one line of JSON.
// npm run -s bench -- latency --events N --rate R --parallelism P [--buffer-timeout MS]: how long records take at a fixed rate.
const latency = new Command('latency')
  .option('--events <n>', 'source events', wholeNumber(1), 400_000)
  .option('--rate <n>', 'events a second', wholeNumber(1), 20_000)
  .option('--parallelism <p>', 'parallel subtasks', wholeNumber(1), 1)
  .option('--buffer-timeout <ms>', 'how long a record may wait in a batch', wholeNumber(0), 100)
  .option('--threads <n>', "worker threads, 0 for the calling one (default: the engine's choice)", wholeNumber(0))
  .action(async (options: LatencyOptions) => {
    process.stdout.write(`${JSON.stringify(await runLatency(options))}\n`)
  })

await start(
  runCommand('bench', ['heap'])
    .option('--threads <n>', "worker threads, 0 for the calling one (default: the engine's choice)", wholeNumber(0))
    .action(async (job: JobName, options: RunCommandOptions & { threads?: number }) => {
      process.stdout.write(`${JSON.stringify(await runBench(job, options))}\n`)
    })
    .enablePositionalOptions() // both have --events and --parallelism
    .addCommand(latency),
)
