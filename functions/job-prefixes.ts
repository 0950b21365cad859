import type { Deployment } from '../runtime/task/stage-names.js'

/** In the job's bucket: parts of commits, below the name of their log, which S3 deletes when logs have long forgotten them. */
export const PARTS_PREFIX = 'log/'
/** Records that failed, below the name of the log that met them. */
export const LETTERS_PREFIX = 'dead-letters/'
const CHECKPOINTS_PREFIX = 'checkpoints/'

/** One folder for all revisions: what one has begun to complete, and what it leaves, the next one finds. */
export function checkpointsPrefix({ job }: Pick<Deployment, 'job'>): string {
  return `${CHECKPOINTS_PREFIX}${job}/`
}

/** Log in the job's table: what a revision's plan was. */
export function planLogName(job: string, revision: string): string {
  return `${job}/#plans/${revision}`
}
