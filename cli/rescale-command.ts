import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { PlacesAnswer } from '../functions/control-checkpoints.js'
import { MillraceError } from '../runtime/core/index.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { printJson, printLines } from './print.js'
import { wrongCommandLine } from './wrong-command-line.js'

export interface RescaleFlags extends DeployedFlags {
  readonly dryRun?: boolean
  readonly json?: boolean
}

const CONTEXT_FILE = 'cdk.context.json'

/** Runs a program whose output is the user's to see, and resolves with its exit code. */
export type RunProgram = (program: string, words: readonly string[]) => Promise<number>

/**
 * `millrace rescale`: deploys the job at another parallelism, which is another revision: the one that runs stops with a savepoint, and the new one
 * goes on from it. What was deployed is written to cdk.context.json, where later deployments find it. `more`: further words for `cdk deploy`.
 */
export async function rescaleCommand(parallelism: number, more: readonly string[], flags: RescaleFlags, run: RunProgram = runProgram): Promise<void> {
  const { stack } = flags
  if (stack === undefined) throw wrongCommandLine('A rescale deploys a stack', 'Give --stack NAME.')
  if (!existsSync('cdk.json')) throw wrongCommandLine(`There is no cdk.json in ${resolve('.')}`, "Go to the folder of the stack's CDK app.")
  const { job } = await (await DeployedJob.find(flags)).ask<PlacesAnswer>({ command: 'places' })
  // As cdk/parallelism-in-context.ts reads it.
  const key = `millrace:parallelism:${job}`
  const words = ['cdk', 'deploy', stack, '--context', `${key}=${parallelism}`, ...more]
  const command = `npx ${words.map(quoted).join(' ')}`
  if (flags.dryRun === true) {
    if (flags.json === true) printJson({ job, parallelism, command })
    else printLines([command])
    return
  }
  process.stderr.write(`millrace: ${command}\n`)
  const code = await run('npx', words)
  if (code !== 0) throw failed(command, code)
  await keepInContext(key, parallelism)
  if (flags.json === true) printJson({ job, parallelism, command })
  else printLines([`${job} runs at parallelism ${parallelism} (${CONTEXT_FILE} keeps it for later deployments)`])
}

async function keepInContext(key: string, parallelism: number): Promise<void> {
  const context = existsSync(CONTEXT_FILE) ? (JSON.parse(await readFile(CONTEXT_FILE, 'utf8')) as Record<string, unknown>) : {}
  await writeFile(CONTEXT_FILE, `${JSON.stringify({ ...context, [key]: parallelism }, undefined, 2)}\n`)
}

function runProgram(program: string, words: readonly string[]): Promise<number> {
  return new Promise((done, reject) => {
    // Its progress is not this command's result.
    const child = spawn(program, words, { stdio: ['inherit', process.stderr, 'inherit'], shell: process.platform === 'win32' })
    child.on('error', reject)
    child.on('exit', (code) => done(code ?? 1))
  })
}

/** For a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function failed(command: string, code: number): MillraceError {
  return new MillraceError('CONTROL_REFUSED', {
    what: `the deployment ended with ${code}, and the job runs as before`,
    where: command,
    todo: 'Mend what it has said above and rescale again. millrace status shows what runs.',
  })
}
