import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { type JobEvent, type JobHandle, MillraceError, type RunOptions, run } from 'millrace'
import job from './job.js'
import { addsUp, formatSummary, summarise } from './summary.js'

const FAILED = 1
const BAD_USAGE = 2
/** As shells have it for SIGPIPE. */
const BROKEN_PIPE = 141

// What `npm start` runs: the job in this process, its windows printed, and a closing account of all lines.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `npm start | head` has seen enough.
  if (error.code === 'EPIPE') process.exit(BROKEN_PIPE)
  throw error
})
process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = runOptions(args)
    let whole = true
    const onEvent = (event: JobEvent) => {
      if (event.kind === 'restored' || event.kind === 'failure') whole = false
      if (event.kind === 'failure' && event.restartInMs !== undefined) console.error(`${event.error}\nStarting again.`)
    }
    const handle = await run(job, { ...options, onEvent })
    const interrupt = stopOnInterrupt(handle, options.checkpointDir === undefined)
    const summary = summarise(await handle.result().finally(interrupt.release))
    console.log(formatSummary(summary))
    if (addsUp(summary)) return 0
    if (!whole || interrupt.endedEarly()) return explainUneven()
    console.error('The numbers do not add up: some lines were lost or counted twice.')
    return FAILED
  } catch (error) {
    return report(error)
  }
}

/** Windows that were open in a checkpoint hold lines of another run than the one that counts them. */
function explainUneven(): number {
  console.log('(Lines and windows of one run differ where it starts or ends with a checkpoint: windows stay open across it.)')
  return 0
}

function runOptions(args: readonly string[]): RunOptions {
  const command = new Command('npm start --')
    .description('Counts the requests of each client IP in windows of 5 seconds.')
    .addOption(
      new Option('--input <file>', 'access log to read (default: the one that ships with the example)').conflicts(['follow', 'socket', 'stdin']),
    )
    .addOption(new Option('--follow <file>', 'access log to read as it grows').conflicts(['socket', 'stdin']))
    .addOption(new Option('--socket <host:port>', 'server that sends lines').conflicts('stdin'))
    .option('--stdin', 'read lines from standard input')
    .option('--output <path>', 'file for the windows, or folder when it ends with a separator or is one')
    .option('--malformed <path>', 'file or folder for malformed lines (default: stderr)')
    .option('--late <path>', 'file or folder for accesses that came too late')
    .option('--parallelism <n>', 'subtasks that count', positive)
    .option('--checkpoint-dir <folder>', 'where to keep checkpoints')
    .option('--checkpoint-interval <ms>', 'milliseconds between checkpoints', positive)
    .option('--from <latest|path>', 'start from the latest checkpoint of the folder, or from a checkpoint or savepoint')
    .configureOutput({ outputError: (text, write) => write(text) })
    .exitOverride()
    .allowExcessArguments(false)
  command.parse(args as string[], { from: 'user' })
  const { parallelism, checkpointDir, checkpointInterval, from, ...own } = command.opts()
  const parameters = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(value)]))
  return {
    parameters,
    // Standard input belongs to the main thread.
    ...(own.stdin === true && { threads: 0 }),
    ...(parallelism !== undefined && { parallelism }),
    ...(checkpointDir !== undefined && { checkpointDir }),
    ...(checkpointInterval !== undefined && { checkpointIntervalMs: checkpointInterval }),
    ...(from !== undefined && { restoreFrom: from }),
  }
}

function positive(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('It must be a whole number from 1.')
  return number
}

/** The first Ctrl-C ends the job in order: with its windows fired, or with a last checkpoint to go on from. The second ends it at once. */
function stopOnInterrupt(handle: JobHandle, drain: boolean): { endedEarly: () => boolean; release: () => void } {
  let interrupts = 0
  const onInterrupt = () => {
    const ending = interrupts++ === 0 ? handle.stop({ drain }) : handle.cancel()
    // handle.result() tells of the failure too.
    ending.catch(() => {})
  }
  process.on('SIGINT', onInterrupt).on('SIGTERM', onInterrupt)
  return {
    endedEarly: () => interrupts > (drain ? 1 : 0),
    release: () => process.off('SIGINT', onInterrupt).off('SIGTERM', onInterrupt),
  }
}

function report(error: unknown): number {
  // Commander has already said what is wrong (or printed the help that was asked for).
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : BAD_USAGE
  if (!(error instanceof MillraceError)) throw error
  console.error(error.message)
  return error.code === 'OPTION_INVALID' ? BAD_USAGE : FAILED
}
