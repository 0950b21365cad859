import { type RunCommandOptions, runCommand, start } from './command-line.js'
import { runInProcess } from './engine-process.js'
import type { JobName } from './jobs/index.js'

// npm run -s bench:flink -- JOB --events N --parallelism P ...: the same run on Apache Flink (needs bash, Java 17 and Maven).
await start(
  runCommand('bench:flink', ['heap', 'rocksdb']).action(async (job: JobName, options: RunCommandOptions) => {
    const outcome = await runInProcess({ ...options, engine: 'flink', job })
    if (outcome.kind === 'result') process.stdout.write(`${JSON.stringify(outcome.result)}\n`)
    else {
      process.stderr.write(`${outcome.command}: ${outcome.why}\n`)
      process.exitCode = 1
    }
  }),
)
