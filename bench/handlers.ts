import { Command, Option } from 'commander'
import { start, wholeNumber } from './command-line.js'
import { type HandlersOptions, runHandlers } from './run-handlers.js'

// npm run -s bench:handlers -- [--events N] [--batch N] [--keys K] [--rounds N]: both stages' handlers on one core, one line of JSON.
await start(
  new Command('bench:handlers')
    .option('--events <n>', 'source events of a run', wholeNumber(1), 500_000)
    .option('--batch <n>', 'events of a batch', wholeNumber(1), 5_000)
    .option('--keys <n>', 'keys, drawn uniformly', wholeNumber(1), 10_000)
    .option('--eps <n>', 'events a second of event time', wholeNumber(1), 100_000)
    .addOption(
      new Option('--variant <name>', 'what crosses between the stages: three fields, or whole events')
        .choices(['projected', 'whole'])
        .default('projected'),
    )
    .option('--rounds <n>', 'runs, of which the best counts', wholeNumber(1), 5)
    .action(async (options: HandlersOptions) => {
      process.stdout.write(`${JSON.stringify(await runHandlers(options))}\n`)
    }),
)
