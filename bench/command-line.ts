import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { MillraceError } from 'millrace'
import { JOB_NAMES, type JobName } from './jobs/index.js'

/** Options that a run has with either engine. */
export interface RunCommandOptions {
  readonly events: number
  readonly parallelism: number
  readonly checkpoint: number
  readonly eps: number
  readonly state: string
}

export type RunAction<Options> = (job: JobName, options: Options) => Promise<void>

/** `NAME JOB --events N --parallelism P [--checkpoint MS] [--state S] [--eps N]` */
export function runCommand(name: string, states: readonly string[]): Command {
  return new Command(name)
    .addArgument(new Argument('<job>', 'the benchmark job').choices(JOB_NAMES))
    .option('--events <n>', 'source events', wholeNumber(1), 1_000_000)
    .option('--parallelism <p>', 'parallel subtasks', wholeNumber(1), 1)
    .option('--checkpoint <ms>', 'checkpoint interval, 0 for none', wholeNumber(0), 0)
    .addOption(new Option('--state <backend>', 'state backend').choices(states).default('heap'))
    .option('--eps <n>', 'events a second of event time', wholeNumber(1), 10_000)
}

/** Reads a whole number from `least` to `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(
        most === Number.MAX_SAFE_INTEGER ? `Expected a whole number of at least ${least}.` : `Expected a whole number from ${least} to ${most}.`,
      )
    return value
  }
}

/** Reads a number above 0. */
export function positiveNumber(text: string): number {
  const value = Number(text)
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError('Expected a number above 0.')
  return value
}

/** Reads `a,b,c`, each by `read`. */
export function listOf<T>(read: (text: string) => T): (text: string) => T[] {
  return (text) => text.split(',').map((part) => read(part.trim()))
}

/** Runs a command; what it throws is printed to stderr and becomes exit code 1. */
export async function start(command: Command): Promise<void> {
  try {
    await command.parseAsync()
  } catch (error) {
    process.stderr.write(`${error instanceof MillraceError ? error.message : error instanceof Error ? error.stack : String(error)}\n`)
    process.exitCode = 1
  }
}
