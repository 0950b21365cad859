import { isJob, type Job } from '../api/index.js'
import { MillraceError } from '../core/index.js'
import { checkOptions } from './check-options.js'
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
