import { statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { MillraceError } from '../runtime/core/index.js'
import type { JobHandle, RestartStrategy, RunOptions } from '../runtime/local/run-options.js'
import type { JobGraph } from '../runtime/plan/index.js'
import { type ControlServer, openControlServer } from './control-server.js'
import type { Engine } from './engine.js'
import { EXIT } from './exit-codes.js'
import { type LoadedJob, loadJob } from './load-job.js'
import { RunReporter } from './run-reporter.js'
import { stopOnSignal } from './stop-on-signal.js'
import { wrongCommandLine } from './wrong-command-line.js'

/** Options of `millrace run` as commander hands them over. */
export interface RunFlags {
  readonly parallelism?: number
  readonly maxParallelism?: number
  readonly threads?: number
  readonly bind?: Readonly<Record<string, string>>
  readonly checkpointDir?: string
  readonly checkpointInterval?: number
  readonly checkpointMode?: 'exactly-once' | 'at-least-once'
  readonly checkpointTimeout?: number
  readonly minPause?: number
  readonly tolerableFailedCheckpoints?: number
  readonly retain?: number
  readonly from?: string
  readonly allowNonRestoredState?: boolean
  readonly restart?: RestartStrategy
  readonly control?: string
  readonly metricsJson?: string
  readonly quiet?: boolean
}

/** Runs a job to its end. Resolves with the exit code; rejects with what made the job fail. */
export async function runCommand(path: string, parameters: readonly string[], flags: RunFlags): Promise<number> {
  checkFlags(flags)
  const loaded = await loadJob(path)
  const control = await openControl(flags, loaded.job.name)
  const reporter = new RunReporter({ quiet: flags.quiet === true, metricsFile: flags.metricsJson })
  try {
    return await runAndReport(loaded, parameters, flags, control, reporter)
  } finally {
    reporter.close()
    await control?.close()
  }
}

async function runAndReport(
  { engine, job, url }: LoadedJob,
  parameters: readonly string[],
  flags: RunFlags,
  control: ControlServer | undefined,
  reporter: RunReporter,
): Promise<number> {
  let handle: JobHandle | undefined
  let stopping: Promise<void> | undefined
  let pipeBroken = false
  const stop = (): void => {
    if (handle !== undefined) stopping ??= stopCleanly(handle, flags, reporter)
  }
  const signals = stopOnSignal(
    (signal) => {
      if (flags.quiet !== true)
        reporter.say(`millrace: ${signal}: stopping${flags.checkpointDir === undefined ? '' : ' with a last checkpoint'} (again: at once)`)
      stop()
    },
    (code) => process.exit(code),
  )
  const onOutputError = (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') return
    pipeBroken = true
    stop()
  }
  process.stdout.on('error', onOutputError)
  try {
    const threads = flags.threads ?? threadsFor(engine, job, parameters, flags)
    handle = await engine.run(job, { ...runOptions(flags, parameters, url), threads, onEvent: (event) => reporter.event(event) })
    control?.attach(handle)
    reporter.start(handle)
    if (signals.exitCode !== undefined || pipeBroken) stop()
    const result = await handle.result().catch(async (thrown: unknown) => {
      await reporter.failed(handle as JobHandle)
      throw thrown
    })
    await stopping
    await reporter.finish(result, stopping !== undefined && flags.checkpointDir !== undefined)
    return signals.exitCode ?? (pipeBroken ? EXIT.brokenPipe : EXIT.finished)
  } finally {
    signals.close()
    process.stdout.off('error', onOutputError)
  }
}

/** With a last checkpoint where checkpoints are on. A stop that fails must still end the job. */
async function stopCleanly(handle: JobHandle, flags: RunFlags, reporter: RunReporter): Promise<void> {
  try {
    await (flags.checkpointDir === undefined ? handle.cancel() : handle.stop({}))
  } catch (thrown) {
    reporter.say(`millrace: the last checkpoint could not be taken, cancelling: ${(thrown as Error).message}`)
    await handle.cancel().catch(() => undefined)
  }
}

function runOptions(flags: RunFlags, parameters: readonly string[], url: string): RunOptions {
  return {
    parallelism: flags.parallelism,
    maxParallelism: flags.maxParallelism,
    jobModule: url,
    parameters,
    bindings: flags.bind,
    checkpointDir: flags.checkpointDir,
    checkpointIntervalMs: flags.checkpointInterval,
    checkpointMode: flags.checkpointMode,
    checkpointTimeoutMs: flags.checkpointTimeout,
    minPauseBetweenCheckpointsMs: flags.minPause,
    tolerableFailedCheckpoints: flags.tolerableFailedCheckpoints,
    retainedCheckpoints: flags.retain,
    restoreFrom: flags.from,
    allowNonRestoredState: flags.allowNonRestoredState,
    restartStrategy: flags.restart,
  }
}

/**
 * One for each subtask of the widest stage (what the job says itself may be more than the option), and one even for a single subtask:
 * this thread stays free for the live line, signals and the control server. Standard input can be read only in this thread.
 */
function threadsFor(engine: Engine, job: LoadedJob['job'], parameters: readonly string[], { parallelism, maxParallelism }: RunFlags): number {
  const plan = JSON.parse(engine.explain(job, { format: 'json', parameters, parallelism, maxParallelism })) as Pick<JobGraph, 'vertices'>
  if (plan.vertices.some((vertex) => vertex.operators.some((operator) => operator.kind === 'stdin-source'))) return 0
  return Math.max(1, ...plan.vertices.map((vertex) => vertex.parallelism))
}

async function openControl(flags: RunFlags, job: string): Promise<ControlServer | undefined> {
  const { checkpointDir, control } = flags
  if (checkpointDir !== undefined) {
    await mkdir(checkpointDir, { recursive: true }).catch((cause: unknown) => {
      throw new MillraceError('STORAGE', {
        what: 'The checkpoint folder cannot be made',
        where: resolve(checkpointDir),
        todo: 'Give --checkpoint-dir a folder that is writable, or whose parent is.',
        cause,
      })
    })
  }
  const path = control ?? (checkpointDir === undefined ? undefined : join(checkpointDir, 'control.json'))
  return path === undefined ? undefined : openControlServer(path, job)
}

/** What only makes sense together, said before anything is compiled or started. */
function checkFlags(flags: RunFlags): void {
  if (flags.checkpointDir === undefined) {
    const needing = [
      flags.from === 'latest' && '--from latest',
      flags.checkpointInterval !== undefined && '--checkpoint-interval',
      flags.checkpointMode !== undefined && '--checkpoint-mode',
      flags.minPause !== undefined && '--min-pause',
      flags.retain !== undefined && '--retain',
    ].filter((name) => name !== false)
    if (needing.length > 0) {
      throw wrongCommandLine(`${needing[0]} needs a checkpoint folder`, 'Add --checkpoint-dir DIR.')
    }
  }
  const file = flags.metricsJson
  if (file !== undefined && statSync(dirname(resolve(file)), { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new MillraceError('FILE_NOT_FOUND', {
      what: 'The folder for --metrics-json does not exist',
      where: dirname(resolve(file)),
      todo: 'Make the folder, or give another file.',
    })
  }
}
