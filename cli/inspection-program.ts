import type { Command } from 'commander'
import type { Commands } from './commands.js'
import type { CostFlags } from './cost-command.js'
import type { LettersFlags, ReplayFlags } from './dead-letter-commands.js'
import { onJob } from './job-program.js'
import { amount, integer } from './option-parsers.js'
import type { StateGetFlags, StateListFlags } from './state-commands.js'
import type { StateDiffFlags } from './state-diff.js'
import { namespaceTest } from './state-rows.js'
import type { WhyFlags } from './why-not-fired.js'

/** Commands that look into a job. */
export function addInspection(program: Command, commands: Commands): void {
  addState(program, commands)
  addWhy(program, commands)
  addCost(program, commands)
  addLetters(program, commands)
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

function addCost(program: Command, commands: Commands): void {
  onJob(program.command('cost').description('what a deployed job costs a month, by line'))
    .option('--rate <n>', 'records a second of all sources together, in place of what the logs say of the last hour', amount)
    .option('--record-bytes <n>', 'with --rate: bytes of a record (default 200)', integer(1))
    .option('--invocation-ms <n>', 'how long an invocation takes (default 50)', integer(1))
    .action((flags: CostFlags) => commands.cost(flags))
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

/** A checkpoint of a deployed job. */
function snapshot(command: Command): Command {
  return onJob(command).option('--checkpoint <id>', 'of a deployed job, not the newest checkpoint but this one', integer(1))
}
