import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { PollerFaults } from './followed-mapping.js'
import { startMiniStack } from './mini-stack.js'
import { endGroup, type GroupLeader, isRunning, saidIn, spawnLeader } from './process-group.js'

export const REGION = 'eu-central-1'
const POLLER_START_MS = 20_000

export interface LocalAwsOptions {
  /** 0: a free one. */
  readonly port: number
  readonly folder: string
  readonly persist: boolean
  /** Everything ends with this process. */
  readonly child: boolean
  /** The program that bundles `poller-main.ts`. */
  readonly pollerProgram: string
  readonly pollMs?: number
  readonly faults?: Partial<PollerFaults>
}

/** What runs, as the state file says it. */
export interface LocalAwsState {
  readonly endpoint: string
  readonly poller: string
  /** Where functions run. */
  readonly temporary: string
  readonly processes: { readonly ministack: GroupLeader; readonly poller: GroupLeader }
}

/** Starts the emulator and the poller. What an earlier run kept in the folder is gone unless it is to persist. */
export async function startLocalAws(given: LocalAwsOptions): Promise<LocalAwsState> {
  const folder = resolve(given.folder)
  const options = { ...given, folder }
  const { persist, child } = options
  const running = readState(folder)
  if (running !== undefined && Object.values(running.processes).some(isRunning)) throw new Error(`it runs already: ${running.endpoint}`)
  if (!persist) rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const port = options.port === 0 ? await freePort() : options.port
  const endpoint = `http://127.0.0.1:${port}`
  const temporary = mkdtempSync(join(tmpdir(), 'millrace-aws-'))
  const ministack = await startMiniStack({ port, folder, temporary, persist, child })
  try {
    const poller = await startPoller(options, endpoint)
    const state = { endpoint, poller: poller.url, temporary, processes: { ministack, poller: poller.leader } }
    writeState(folder, state)
    return state
  } catch (error) {
    await endGroup(ministack)
    rmSync(temporary, { recursive: true, force: true })
    throw error
  }
}

/** Ends what the state file of the folder names, if that is still the same. Whether there was something. */
export async function stopLocalAws(folder: string): Promise<boolean> {
  const state = readState(folder)
  if (state === undefined) return false
  // First who calls, then who is called.
  await endGroup(state.processes.poller)
  await endGroup(state.processes.ministack)
  rmSync(state.temporary, { recursive: true, force: true })
  rmSync(stateFile(folder), { force: true })
  return true
}

/** What a program, the CDK or the command of AWS needs to find it. */
export function environmentOf(endpoint: string): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    // The CDK's own client of S3 wants to be told by name.
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    CDK_DISABLE_CLI_TELEMETRY: '1',
  }
}

async function startPoller(options: LocalAwsOptions, endpoint: string): Promise<{ leader: GroupLeader; url: string }> {
  const { folder, child, pollerProgram, pollMs = 250, faults = {} } = options
  const log = join(folder, 'poller.log')
  // What an earlier one said would be taken for what this one says.
  rmSync(log, { force: true })
  const args = [pollerProgram, '--positions', join(folder, 'positions.json'), '--poll-ms', String(pollMs), '--faults', JSON.stringify(faults)]
  const leader = spawnLeader(process.execPath, child ? [...args, '--end-with-input'] : args, { env: environmentOf(endpoint), log, child })
  const port = await saidIn(log, /^listening (\d+)$/m, leader, POLLER_START_MS)
  return { leader, url: `http://127.0.0.1:${port}` }
}

function stateFile(folder: string): string {
  return join(folder, 'local-aws.json')
}

export function readState(folder: string): LocalAwsState | undefined {
  try {
    return JSON.parse(readFileSync(stateFile(folder), 'utf8')) as LocalAwsState
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function writeState(folder: string, state: LocalAwsState): void {
  const file = stateFile(folder)
  writeFileSync(`${file}.new`, JSON.stringify(state, undefined, 1))
  renameSync(`${file}.new`, file)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
