import { Command, Option } from 'commander'
import type { Commands } from './commands.js'
import { addInspection } from './inspection-program.js'
import { addJobs } from './job-program.js'
import { binding, integer, restartStrategy } from './option-parsers.js'
import type { PipeFlags } from './pipe-command.js'
import { partitionKey } from './pipe-keys.js'
import type { PlanFlags } from './plan-command.js'
import type { RunFlags } from './run-command.js'

/** The `millrace` command. `onExitCode` is told the exit code of a run that ended without an error. */
export function buildProgram(commands: Commands, version: string, onExitCode: (code: number) => void): Command {
  const program = new Command('millrace')
    .description("Runs stream processing jobs in Apache Flink's model in one Node process, and looks after deployed ones.")
    .version(version, '-V, --version')
    .option('--verbose-errors', 'show stack traces with errors (also MILLRACE_TRACE=1)')
    .showHelpAfterError('(millrace --help, or millrace COMMAND --help, shows the usage)')
    .exitOverride()

  program
    .command('init')
    .description('write a new project: a job with a test and a sample of input, and an app that deploys it')
    .argument('[folder]', 'a new folder, whose name becomes that of the job', '.')
    .action((folder: string) => commands.init(folder))
  addRun(program, commands, onExitCode)
  program
    .command('plan')
    .description('show the graph that a job would run as')
    .argument('<job>', 'job module, .ts or .js')
    .argument('[parameters...]', "the job's own parameters, after --")
    .addOption(new Option('--format <format>', 'form of the output').choices(['text', 'mermaid', 'json']).default('text'))
    .option('--parallelism <n>', 'default parallelism of the operators', integer(1, 32_768))
    .option('--max-parallelism <n>', 'number of key groups (default 128)', integer(1, 32_768))
    .action((job: string, parameters: string[], flags: PlanFlags) => commands.plan(job, parameters, flags))
  addJobs(program, commands)
  addPipe(program, commands, onExitCode)
  addInspection(program, commands)
  // Accepted behind the command too, where people type it.
  for (const command of program.commands.flatMap((one) => [one, ...one.commands])) {
    command.option('--verbose-errors', 'show stack traces with errors')
  }
  return program
}

function addRun(program: Command, commands: Commands, onExitCode: (code: number) => void): void {
  program
    .command('run')
    .description('run a job until it ends or is stopped')
    .argument('<job>', 'job module whose default export is made by defineJob, .ts or .js')
    .argument('[parameters...]', "the job's own parameters, after --")
    .option('--parallelism <n>', 'default parallelism of the operators', integer(1, 32_768))
    .option('--max-parallelism <n>', 'number of key groups (default 128); fixed for the life of the state', integer(1, 32_768))
    .option('--threads <n>', 'worker threads (default: the parallelism); 0 runs all in the main thread', integer(0, 1024))
    .option('--bind <name=physical>', 'what a stream, table or bucket that the job names is called (again for each)', binding)
    .option('--checkpoint-dir <dir>', 'folder for checkpoints; without it there are none')
    .option('--checkpoint-interval <ms>', 'time between checkpoints (default 10000); 0: none but the last', integer(0))
    .addOption(new Option('--checkpoint-mode <mode>', 'guarantee for state').choices(['exactly-once', 'at-least-once']))
    .option('--checkpoint-timeout <ms>', 'a checkpoint that takes longer is given up (default 600000)', integer(1))
    .option('--min-pause <ms>', 'least pause between checkpoints (default 0)', integer(0))
    .option('--tolerable-failed-checkpoints <n>', 'failed checkpoints in a row that do not yet fail the job (default 0)', integer(0))
    .option('--retain <n>', 'completed checkpoints to keep (default 1)', integer(1))
    .option('--from <latest|path>', 'start from the latest checkpoint of the folder, or from a checkpoint or savepoint')
    .option('--allow-non-restored-state', 'drop state of operators that the job no longer has')
    .option(
      '--restart <strategy>',
      'none (default without checkpoints), fixed-delay:3:1000 (default with them), exponential-delay:1000:60000, failure-rate:3:60000:1000',
      restartStrategy,
    )
    .option('--control <file>', 'file through which stop, savepoint, cancel and status reach the job (default: DIR/control.json)')
    .option('--metrics-json <file>', 'write metrics there every 5 s and at the end')
    .option('--quiet', 'say nothing but errors')
    .action(async (job: string, parameters: string[], flags: RunFlags) => onExitCode(await commands.run(job, parameters, flags)))
}

function addPipe(program: Command, commands: Commands, onExitCode: (code: number) => void): void {
  program
    .command('pipe')
    .description('carry lines into a Kinesis stream')
    .requiredOption('--stream <name>', 'the stream')
    .option('--file <path>', 'lines of a file')
    .option('--socket <host:port>', 'lines from a socket, until it is closed')
    .option('--stdin', 'lines of the standard input')
    .option('--partition-key <form>', 'random (default), line, constant:KEY, field:N or json:NAME; lines of one key stay in order', partitionKey)
    .option('--aggregate', 'pack lines of a key into aggregated records, which kinesisSource takes apart: in order, and faster')
    .option('--rate <n>', 'lines a second at most', integer(1))
    .option('--quiet', 'say nothing but errors')
    .action(async (flags: PipeFlags) => onExitCode(await commands.pipe(flags)))
}
