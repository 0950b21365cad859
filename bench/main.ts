import { type RunCommandOptions, runCommand, start, wholeNumber } from './command-line.js'
import type { JobName } from './jobs/index.js'
import { runBench } from './run-bench.js'

// npm run -s bench -- JOB --events N --parallelism P [--checkpoint MS]: one run, one line of JSON.
await start(
  runCommand('bench', ['heap'])
    .option('--threads <n>', "worker threads, 0 for the calling one (default: the engine's choice)", wholeNumber(0))
    .action(async (job: JobName, options: RunCommandOptions & { threads?: number }) => {
      process.stdout.write(`${JSON.stringify(await runBench(job, options))}\n`)
    }),
)
