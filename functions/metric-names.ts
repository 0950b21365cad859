/** CloudWatch namespace of a job's metrics. */
export const METRICS_NAMESPACE = 'Millrace'

/** Metrics of `Job` and `Stage`. All else that is counted stands in the log only: each metric has a price. */
export const STAGE_METRICS = [
  'commit',
  'commit-lost',
  'cold-start',
  'frame-stashed',
  'record-failed',
  'late-record-dropped',
  'batch-refused',
  'checkpoint-completed',
] as const

/** Metrics of `Job` too, since somebody should look at it whatever the stage. */
export const JOB_METRICS = [
  'batch-failed',
  'poke-failed',
  'gap',
  'stash-over-limit',
  'dead-letter',
  'checkpoint-aborted',
  'checkpoint-timed-out',
] as const
