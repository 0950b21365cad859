import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { environmentOf, readState, startLocalAws, stopLocalAws } from './local-aws.js'
import { isRunning } from './process-group.js'

const DEFAULT_FOLDER = join('.millrace', 'local-aws')

/** The commands behind `npm run aws:up`, `aws:down` and `aws:status`. `pollerProgram`: the program that bundles `poller-main.ts`. */
export async function main(args: readonly string[], pollerProgram: string): Promise<void> {
  const program = new Command('aws').description('AWS on this machine: MiniStack, and pollers that do what those of AWS do.')
  program
    .command('up')
    .description('start it in the background and print the environment by which it is found')
    .option('--port <port>', 'port of the emulator; 0: a free one', wholeNumber, 4566)
    .option('--folder <folder>', 'where it keeps its state and its logs', DEFAULT_FOLDER)
    .option('--persist', 'go on with what an earlier run left in the folder, and leave it there', false)
    .option('--poll-ms <ms>', 'how often streams are looked at (AWS: 1000)', wholeNumber, 250)
    .option(
      '--faults <json>',
      'what goes wrong, by probability: {"duplicate":0.1,"splitRetry":0.1,"failInvocation":0.05,"loseAnswer":0.05}',
      json,
      {},
    )
    .action(async (options) => up({ ...options, child: false, pollerProgram }))
  program
    .command('down')
    .description('end what `up` has started')
    .option('--folder <folder>', 'as for up', DEFAULT_FOLDER)
    .action(async ({ folder }) => console.log((await stopLocalAws(folder)) ? 'Ended.' : `Nothing was started with ${folder}.`))
  program
    .command('faults')
    .description('what goes wrong from now on')
    .argument('<json>', 'probabilities, as for up', json)
    .option('--folder <folder>', 'as for up', DEFAULT_FOLDER)
    .action(async (faults, { folder }) => setFaults(faults, folder))
  program
    .command('status')
    .description('what the event source mappings of streams are doing')
    .option('--folder <folder>', 'as for up', DEFAULT_FOLDER)
    .action(async ({ folder }) => status(folder))
  await program.parseAsync(args as string[], { from: 'user' })
}

async function up(options: Parameters<typeof startLocalAws>[0]): Promise<void> {
  const given = process.env.AWS_ENDPOINT_URL
  if (given !== undefined) {
    console.error(`# AWS_ENDPOINT_URL is set: ${given} is used as it is, with its own pollers; nothing was started.`)
    print(environmentOf(given))
    return
  }
  const began = Date.now()
  const { endpoint, processes } = await startLocalAws(options)
  console.error(
    `# ${endpoint} started in ${((Date.now() - began) / 1_000).toFixed(1)} s (processes ${processes.ministack.pid}, ${processes.poller.pid})`,
  )
  print(environmentOf(endpoint))
}

function print(environment: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(environment)) console.log(`export ${name}=${value}`)
}

async function setFaults(faults: unknown, folder: string): Promise<void> {
  const answer = await fetch(`${pollerOf(folder)}/faults`, { method: 'PUT', body: JSON.stringify(faults) })
  if (!answer.ok) throw new Error(await answer.text())
}

async function status(folder: string): Promise<void> {
  console.log(JSON.stringify(await (await fetch(pollerOf(folder))).json(), undefined, 1))
}

function pollerOf(folder: string): string {
  const state = readState(folder)
  if (state === undefined || !isRunning(state.processes.poller)) throw new Error(`Nothing runs with ${folder}: npm run aws:up`)
  return state.poller
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 0) throw new InvalidArgumentError('It must be a whole number.')
  return number
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new InvalidArgumentError('It must be JSON.')
  }
}
