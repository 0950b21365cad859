import type { Command } from 'commander'
import type { Commands, JobFlags } from './commands.js'
import type { WaitFlags } from './deployed-checkpoints.js'
import type { StopFlags } from './job-commands.js'
import { integer } from './option-parsers.js'
import type { RescaleFlags } from './rescale-command.js'

/** Commands on a job that runs, embedded or deployed. */
export function addJobs(program: Command, commands: Commands): void {
  const running = 'checkpoint folder of the running job, or its --control file'
  onJob(program.command('status').description('show how a job does').argument('[dir]', running)).action((dir: string | undefined, flags: JobFlags) =>
    commands.status(dir, flags),
  )
  onJob(
    program
      .command('checkpoints')
      .description('list the checkpoints and savepoints of a job, or in a folder')
      .argument('[dir]', 'checkpoint folder, or s3://…'),
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

/** Options by which a deployed job is named. */
export function onJob(command: Command): Command {
  return command
    .option('--stack <name>', 'the CloudFormation stack of a deployed job')
    .option('--job <name>', 'the job, in a stack of several')
    .option('--function <name>', 'in place of --stack: name or ARN of its control function')
    .option('--json', 'the result as JSON')
}

function waiting(command: Command): Command {
  return command.option('--timeout <seconds>', 'a deployed job: give up when it takes longer (default 600; start and restore 1800)', integer(1))
}
