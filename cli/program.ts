import { Command, Option } from 'commander'
import { cancelCommand } from './control-commands.js'
import { deadLetterList, deadLetterReplay, deadLetterShow, type LettersFlags, type ReplayFlags } from './dead-letter-commands.js'
import type { WaitFlags } from './deployed-checkpoints.js'
import { restoreCommand, startCommand } from './deployed-restore.js'
import type { DeployedFlags } from './deployed-target.js'
import { initCommand } from './init-command.js'
import { checkpoints, type StopFlags, savepoint, status, stop } from './job-commands.js'
import { binding, integer, restartStrategy } from './option-parsers.js'
import { type PipeFlags, pipeCommand } from './pipe-command.js'
import { partitionKey } from './pipe-keys.js'
import { type PlanFlags, planCommand } from './plan-command.js'
import { type RescaleFlags, rescaleCommand } from './rescale-command.js'
import { type RunFlags, runCommand } from './run-command.js'
import { type StateGetFlags, type StateListFlags, stateGet, stateList } from './state-commands.js'
import { type StateDiffFlags, stateDiff } from './state-diff.js'
import { namespaceTest } from './state-rows.js'
import { type WhyFlags, whyNotFiredCommand } from './why-not-fired.js'

/** What the command line does; tests put their own in place of the work. */
export interface Commands {
  init(folder: string): Promise<void>
  run(path: string, parameters: readonly string[], flags: RunFlags): Promise<number>
  plan(path: string, parameters: readonly string[], flags: PlanFlags): Promise<void>
  checkpoints(folder: string | undefined, flags: JobFlags): Promise<void>
  stop(folder: string | undefined, flags: StopFlags): Promise<void>
  savepoint(folder: string | undefined, path: string | undefined, flags: JobFlags & WaitFlags): Promise<void>
  cancel(folder: string, flags: { readonly json?: boolean }): Promise<void>
  status(folder: string | undefined, flags: JobFlags): Promise<void>
  start(flags: JobFlags & WaitFlags): Promise<void>
  restore(which: string, flags: JobFlags & WaitFlags): Promise<void>
  pipe(flags: PipeFlags): Promise<number>
  rescale(parallelism: number, more: readonly string[], flags: RescaleFlags): Promise<void>
  whyNotFired(folder: string | undefined, flags: WhyFlags): Promise<void>
  stateGet(path: string | undefined, flags: StateGetFlags): Promise<void>
  stateList(path: string | undefined, flags: StateListFlags): Promise<void>
  stateDiff(before: string, after: string, flags: StateDiffFlags): Promise<void>
  deadLetterList(flags: LettersFlags): Promise<void>
  deadLetterShow(id: string, flags: LettersFlags): Promise<void>
  deadLetterReplay(ids: readonly string[], flags: ReplayFlags): Promise<void>
}

/** Which deployed job is meant, if one is. */
type JobFlags = DeployedFlags & { readonly json?: boolean }

export const COMMANDS: Commands = {
  init: initCommand,
  run: runCommand,
  plan: planCommand,
  checkpoints,
  stop,
  savepoint,
  cancel: cancelCommand,
  status,
  start: (flags) => startCommand(flags),
  restore: (which, flags) => restoreCommand(which, flags),
  pipe: (flags) => pipeCommand(flags),
  rescale: (parallelism, more, flags) => rescaleCommand(parallelism, more, flags),
  whyNotFired: whyNotFiredCommand,
  stateGet,
  stateList,
  stateDiff,
  deadLetterList,
  deadLetterShow,
  deadLetterReplay,
}

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
    .option('--parallelism <n>', 'default parallelism', integer(1, 32_768))
    .action((job: string, parameters: string[], flags: PlanFlags) => commands.plan(job, parameters, flags))
  addControl(program, commands)
  addPipe(program, commands, onExitCode)
  addState(program, commands)
  addWhy(program, commands)
  addLetters(program, commands)
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
    .option('--restart <strategy>', 'none, fixed-delay:3:1000, exponential-delay:1000:60000, failure-rate:3:60000:1000', restartStrategy)
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

function addControl(program: Command, commands: Commands): void {
  const running = 'checkpoint folder of the running job, or its --control file'
  onJob(program.command('status').description('show how a job does').argument('[dir]', running)).action((dir: string | undefined, flags: JobFlags) =>
    commands.status(dir, flags),
  )
  onJob(
    program.command('checkpoints').description('list the checkpoints and savepoints of a job, or in a folder').argument('[dir]', 'checkpoint folder'),
  ).action((dir: string | undefined, flags: JobFlags) => commands.checkpoints(dir, flags))
  waiting(
    onJob(
      program
        .command('savepoint')
        .description('take a savepoint of a job, which goes on')
        .argument('[dir]', running)
        .argument('[path]', 'folder for the savepoint (of a deployed job: its bucket)'),
    ),
  ).action((dir: string | undefined, path: string | undefined, flags: JobFlags & WaitFlags) => commands.savepoint(dir, path, flags))
  waiting(
    onJob(
      program
        .command('stop')
        .description('stop a job with a last checkpoint (a deployed one: with a savepoint)')
        .argument('[dir]', running)
        .option('--drain', 'end as if the input were over: all windows fire; not to be resumed (embedded jobs only)')
        .option('--savepoint <dir>', 'folder for a savepoint in place of the checkpoint (embedded jobs only)'),
    ),
  ).action((dir: string | undefined, flags: StopFlags) => commands.stop(dir, flags))
  waiting(onJob(program.command('start').description('let a deployed job that was stopped go on with its last savepoint'))).action(
    (flags: JobFlags & WaitFlags) => commands.start(flags),
  )
  waiting(
    onJob(
      program
        .command('restore')
        .description('take a deployed job back to one of its checkpoints')
        .argument('<checkpoint>', 'its id, its s3:// address, or latest'),
    ),
  ).action((which: string, flags: JobFlags & WaitFlags) => commands.restore(which, flags))
  onJob(
    program
      .command('rescale')
      .description('deploy a job at another parallelism (cdk deploy, in the folder of its app)')
      .argument('<n>', 'parallelism of operators that name none', integer(1, 32_768))
      .argument('[words...]', 'further words for cdk deploy, after --')
      .option('--dry-run', 'only print the command'),
  ).action((parallelism: number, words: string[], flags: RescaleFlags) => commands.rescale(parallelism, words, flags))
  program
    .command('cancel')
    .description('end a running embedded job at once, without a checkpoint')
    .argument('<dir>', running)
    .option('--json', 'the result as JSON')
    .action((dir: string, flags: { json?: boolean }) => commands.cancel(dir, flags))
}

function addLetters(program: Command, commands: Commands): void {
  const letters = program.command('dead-letters').description('look after records that a deployed job went on without')
  onJob(letters.command('list').description('list them, newest first'))
    .option('--limit <n>', 'how many to read (default 100)', integer(1))
    .action((flags: LettersFlags) => commands.deadLetterList(flags))
  onJob(letters.command('show').description('show one, with its record').argument('<id>', 'as list shows it')).action(
    (id: string, flags: LettersFlags) => commands.deadLetterShow(id, flags),
  )
  onJob(letters.command('replay').description("put records into their sources' streams again").argument('[ids...]', 'as list shows them'))
    .option('--all', 'all that came from a stream and were not replayed yet')
    .option('--again', 'though it was replayed before')
    .action((ids: string[], flags: ReplayFlags) => commands.deadLetterReplay(ids, flags))
}

function addWhy(program: Command, commands: Commands): void {
  onJob(
    program
      .command('why-not-fired')
      .description('explain what the timers and windows of an operator wait for')
      .argument('[dir]', 'checkpoint folder of the running job, or its --control file'),
  )
    .requiredOption('--uid <uid>', 'the operator')
    .option('--key <key>', 'a key: text, or JSON such as 17 or ["a",1]')
    .option('--window <window>', 'only this window: [start,end] in epoch ms, or a time in it', namespaceTest)
    .action((dir: string | undefined, flags: WhyFlags) => commands.whyNotFired(dir, flags))
}

function addState(program: Command, commands: Commands): void {
  const state = program.command('state').description('look into the state that a checkpoint or savepoint holds')
  const path = 'checkpoint folder, a checkpoint or savepoint in it, or s3://…'
  snapshot(state.command('get').description('all that is kept of one key').argument('[path]', path))
    .requiredOption('--uid <uid>', 'the operator')
    .requiredOption('--key <key>', 'the key: text, or JSON such as 17 or ["a",1]')
    .option('--state <name>', 'only the state of this name')
    .option('--namespace <window>', 'only this window: [start,end] in epoch ms, or a time in it', namespaceTest)
    .action((from: string | undefined, flags: StateGetFlags) => commands.stateGet(from, flags))
  snapshot(state.command('list').description('operators, their states, keys and sizes').argument('[path]', path))
    .option('--uid <uid>', 'only this operator')
    .action((from: string | undefined, flags: StateListFlags) => commands.stateList(from, flags))
  onJob(state.command('diff').description('what changed from one checkpoint to another'))
    .argument('<before>', `${path}; of a deployed job also an id`)
    .argument('<after>', 'the same')
    .option('--uid <uid>', 'only this operator')
    .option('--limit <n>', 'rows to show of each state (default 10)', integer(0))
    .action((before: string, after: string, flags: StateDiffFlags) => commands.stateDiff(before, after, flags))
}

/** A checkpoint of a deployed job. */
function snapshot(command: Command): Command {
  return onJob(command).option('--checkpoint <id>', 'of a deployed job, not the newest checkpoint but this one', integer(1))
}

/** Options by which a deployed job is named. */
function onJob(command: Command): Command {
  return command
    .option('--stack <name>', 'the CloudFormation stack of a deployed job')
    .option('--job <name>', 'the job, in a stack of several')
    .option('--function <name>', 'in place of --stack: name or ARN of its control function')
    .option('--json', 'the result as JSON')
}

function waiting(command: Command): Command {
  return command.option('--timeout <seconds>', 'a deployed job: give up when it takes longer (default 600; start and restore 1800)', integer(1))
}
