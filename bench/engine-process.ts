import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BenchResult } from './bench-result.js'
import type { RunCommandOptions } from './command-line.js'

export type Engine = 'flink' | 'millrace'

export interface EngineRun extends RunCommandOptions {
  readonly engine: Engine
  readonly job: string
}

export type RunOutcome =
  | { readonly kind: 'result'; readonly result: BenchResult }
  | { readonly kind: 'failed'; readonly command: string; readonly why: string }

/** Runs one job in a process of its own; what it writes to stderr goes to ours. */
export async function runInProcess(run: EngineRun): Promise<RunOutcome> {
  const [file, ...args] = commandOf(run)
  const command = [path.basename(file), ...args].join(' ')
  const { exitCode, stdout, error } = await execute(file, args)
  if (error !== undefined) return { kind: 'failed', command, why: error.message }
  if (exitCode !== 0) return { kind: 'failed', command, why: `it ended with exit code ${exitCode}` }
  const line = stdout.trimEnd().split('\n').at(-1) ?? ''
  try {
    return { kind: 'result', result: JSON.parse(line) as BenchResult }
  } catch {
    return { kind: 'failed', command, why: `its last line is no JSON: '${line}'` }
  }
}

function commandOf(run: EngineRun): [string, ...string[]] {
  const options = [
    '--events',
    run.events,
    '--parallelism',
    run.parallelism,
    '--checkpoint',
    run.checkpoint,
    '--state',
    run.state,
    '--eps',
    run.eps,
  ].map(String)
  if (run.engine === 'millrace') return [process.execPath, fileURLToPath(new URL('./main.js', import.meta.url)), run.job, ...options]
  return ['bash', flinkScript(), 'bench', '--job', run.job, ...options]
}

/** bench/flink is not built: it lies in the source tree only. */
function flinkScript(): string {
  return path.join(path.dirname(createRequire(import.meta.url).resolve('millrace/package.json')), 'bench', 'flink', 'run.sh')
}

function execute(file: string, args: readonly string[]): Promise<{ exitCode: number | null; stdout: string; error?: Error }> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.on('error', (error) => resolve({ exitCode: null, stdout, error }))
    child.on('close', (exitCode) => resolve({ exitCode, stdout }))
  })
}
