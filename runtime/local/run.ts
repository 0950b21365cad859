import { isJob, type Job } from '../api/index.js'
import { MillraceError } from '../core/index.js'
import { JobRun } from './job-run.js'
import type { JobHandle, RunOptions } from './run-options.js'

/**
 * Runs a job on the embedded cluster, in this process. Resolves once it has been started; errors of the job's description,
 * of options and of the checkpoint to restore are thrown here, later ones by `handle.result()`.
 *
 * @example
 * const handle = await run(job, { parallelism: 2, checkpointDir: './checkpoints' })
 * const { metrics } = await handle.result()
 */
export async function run(job: Job, options: RunOptions = {}): Promise<JobHandle> {
  if (!isJob(job)) {
    throw new MillraceError('JOB_NO_DEFAULT_EXPORT', {
      what: 'run() was not given a job',
      todo: "Give it what defineJob('name', env => { … }) returned.",
    })
  }
  checkOptions(options)
  const jobRun = new JobRun(job, options)
  await jobRun.start()
  return jobRun
}

const LIMITS: { readonly [K in keyof RunOptions]?: readonly [least: number, most: number] } = {
  parallelism: [1, 32_768],
  maxParallelism: [1, 32_768],
  checkpointIntervalMs: [0, 2 ** 31 - 1],
  minPauseBetweenCheckpointsMs: [0, 2 ** 31 - 1],
  checkpointTimeoutMs: [1, 2 ** 31 - 1],
  maxConcurrentCheckpoints: [1, 1_000],
  retainedCheckpoints: [1, 10_000],
  tolerableFailedCheckpoints: [0, Number.MAX_SAFE_INTEGER],
  threads: [0, 1_024],
  autoWatermarkIntervalMs: [1, 2 ** 31 - 1],
  bufferTimeoutMs: [0, 2 ** 31 - 1],
}

function checkOptions(options: RunOptions): void {
  for (const [name, [least, most]] of Object.entries(LIMITS)) {
    const value = options[name as keyof RunOptions]
    if (value === undefined || (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)) continue
    throw new MillraceError('OPTION_INVALID', {
      what: `option ${name} is ${String(value)}`,
      todo: `It must be a whole number from ${least} to ${most}.`,
    })
  }
}
