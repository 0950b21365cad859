import { Command, Option } from 'commander'
import { start, wholeNumber } from '../bench/command-line.js'
import type { KeyedSumVariant } from '../bench/keyed-sum.js'
import { type EstimateOptions, estimate } from './estimate.js'
import { report } from './report.js'

interface Options extends Omit<EstimateOptions, 'memoryMb' | 'windowSec' | 'checkpointSec' | 'tickSec' | 'retentionHours'> {
  readonly window: number
  readonly retention: number
  readonly memory?: number
  readonly checkpoint: number
  readonly tick: number
  readonly json?: true
}

const PROFILES: readonly KeyedSumVariant[] = ['projected', 'whole']

// npm run -s cost -- --rate R --keys K: what the keyed job of two stages costs a month on AWS, line by line.
await start(
  new Command('cost')
    .option('--rate <n>', 'events a second; 0: nothing ever comes', wholeNumber(0), 1_000)
    .option('--keys <n>', 'keys, drawn uniformly', wholeNumber(1), 10_000)
    .option('--parallelism <p>', 'subtasks of the keyed stage', wholeNumber(1), 1)
    .addOption(
      new Option('--profile <name>', 'what crosses between the stages: three fields, or whole events').choices(PROFILES).default('projected'),
    )
    .option('--instances <n>', 'warm instances that share the work of a function', wholeNumber(1), 1)
    .option('--window <s>', 'seconds that a batch of a shard gathers', wholeNumber(1), 1)
    .option('--checkpoint <s>', 'seconds between checkpoints; 0: none', wholeNumber(0), 60)
    .option('--tick <s>', 'seconds between pokes of all sources; 0: none', wholeNumber(0), 60)
    .option('--rounds <n>', 'intervals to measure', wholeNumber(1), 3)
    .option('--retention <hours>', 'of the streams between stages, 24 to 168', wholeNumber(24, 168), 168)
    .option('--memory <mb>', 'of each function, 128 to 10240 (default: the cheapest that keeps up)', wholeNumber(128, 10_240))
    .option('--json', 'one line of JSON')
    .action(async ({ memory, window, checkpoint, tick, retention, json, ...options }: Options) => {
      const found = await estimate({
        ...options,
        windowSec: window,
        checkpointSec: checkpoint,
        tickSec: tick,
        retentionHours: retention,
        memoryMb: memory,
      })
      process.stdout.write(json ? `${JSON.stringify(found)}\n` : report(found))
    }),
)
