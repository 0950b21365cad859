import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { CloudFormationClient } from '@aws-sdk/client-cloudformation'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { LambdaClient } from '@aws-sdk/client-lambda'
import { SFNClient } from '@aws-sdk/client-sfn'
import type { PollerFaults } from '../local-aws/followed-mapping.js'
import { environmentOf, type LocalAwsOptions, type LocalAwsState, REGION, startLocalAws, stopLocalAws } from '../local-aws/local-aws.js'
import type { Poller } from '../local-aws/poller.js'
import { childrenOf, signal } from '../local-aws/process-group.js'
import { awsClients } from '../runtime/backends/aws/index.js'

const COMMAND_MS = 5 * 60_000
/** Those of this repository, run by the Node that runs this. */
const PROGRAMS = { cdk: join('node_modules', 'aws-cdk', 'bin', 'cdk'), millrace: join('dist', 'cli', 'main.js') } as const
const QUIET_MS = 300
const QUIET_LOOKS = 6
const REST_MS = 2 * 60_000

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Default: that of the repository. */
  readonly folder?: string
  /** It is to fail. */
  readonly fails?: boolean
}

/** Where the scenarios run: the emulator with our pollers, or an endpoint that is there already. */
export class Cloud {
  #local: LocalAwsState | undefined

  private constructor(
    readonly root: string,
    readonly folder: string,
    readonly options: LocalAwsOptions,
  ) {}

  /** Starts the emulator, unless the environment names an endpoint. */
  static async start(root: string, folder: string, pollerProgram: string): Promise<Cloud> {
    const options = { port: 0, folder: join(folder, 'aws'), persist: true, child: true, pollerProgram, pollMs: 200 }
    const cloud = new Cloud(root, folder, options)
    if (process.env.AWS_ENDPOINT_URL === undefined) await cloud.#startLocal(0)
    return cloud
  }

  async #startLocal(port: number): Promise<void> {
    this.#local = await startLocalAws({ ...this.options, port })
    Object.assign(process.env, environmentOf(this.#local.endpoint))
  }

  async stop(): Promise<void> {
    if (this.#local !== undefined) await stopLocalAws(this.options.folder)
  }

  /** Whether what only the emulator can do, such as to be killed, can be done. */
  get isLocal(): boolean {
    return this.#local !== undefined
  }

  /** The emulator and the poller end in order and start again with what they had kept. */
  async restart(): Promise<void> {
    const { port } = new URL(this.#running.endpoint)
    await stopLocalAws(this.options.folder)
    await this.#startLocal(Number(port))
  }

  /** What goes wrong from now on, by probability. */
  async setFaults(faults: Partial<PollerFaults>): Promise<void> {
    const answer = await fetch(`${this.#running.poller}/faults`, { method: 'PUT', body: JSON.stringify(faults) })
    if (!answer.ok) throw new Error(await answer.text())
  }

  /** What has happened to the mappings, all together, by the names of MappingStats. */
  async mappingStats(): Promise<Readonly<Record<string, number>>> {
    const sums: Record<string, number> = {}
    for (const { stats } of Object.values(await this.#mappings()))
      for (const [name, times] of Object.entries(stats)) sums[name] = (sums[name] ?? 0) + times
    return sums
  }

  /** Waits until nothing has been under way for a while. */
  async atRest(): Promise<void> {
    const deadline = Date.now() + REST_MS
    for (let quiet = 0; quiet < QUIET_LOOKS; await pause(QUIET_MS)) {
      if (Date.now() > deadline) throw new Error('the mappings do not come to rest')
      const mappings = Object.values(await this.#mappings())
      quiet = mappings.every(({ enabled, idle }) => idle || !enabled) ? quiet + 1 : 0
    }
  }

  /** Ends one of the processes that run functions, any of them, in the middle of whatever it does. */
  killWorker(): boolean {
    const workers = childrenOf(this.#running.processes.ministack)
    const worker = workers[Math.floor(Math.random() * workers.length)]
    return worker !== undefined && signal(worker, 'SIGKILL')
  }

  async #mappings(): Promise<Poller['status']> {
    return (await (await fetch(this.#running.poller)).json()) as Poller['status']
  }

  get #running(): LocalAwsState {
    if (this.#local === undefined) throw new Error('this needs the emulator: unset AWS_ENDPOINT_URL')
    return this.#local
  }

  readonly clients = () => ({
    ...awsClients(),
    cloudFormation: new CloudFormationClient(),
    lambda: new LambdaClient(),
    stepFunctions: new SFNClient(),
    tables: new DynamoDBClient(),
  })

  /** Prepares the account for the CDK. */
  async bootstrap(): Promise<void> {
    // Not where there is an app, which would be synthesised.
    await this.run('cdk', ['bootstrap', `aws://000000000000/${REGION}`], { folder: this.folder })
  }

  /** Runs a command, `cdk` and `millrace` those of this repository. Resolves to what it says; rejects when it fails, or does not when it is to. */
  async run(
    command: keyof typeof PROGRAMS | 'npm' | 'npx',
    args: readonly string[],
    { env = {}, folder = this.root, fails = false }: RunOptions = {},
  ): Promise<string> {
    const [program, ...words] = command in PROGRAMS ? [process.execPath, join(this.root, PROGRAMS[command as keyof typeof PROGRAMS])] : [command]
    const child = spawn(program, [...words, ...args], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: COMMAND_MS,
    })
    let output = ''
    let said = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
    const [code, killedBy] = await new Promise<[number | null, string | null]>((resolve) => child.on('close', (...how) => resolve(how)))
    appendFileSync(join(this.folder, 'commands.log'), `$ ${command} ${args.join(' ')}\n${said}\n`)
    if ((code === 0) !== fails) return output
    throw new Error(`${command} ${args.join(' ')} ended with ${killedBy ?? code}\n${said.slice(-6_000)}`)
  }
}
