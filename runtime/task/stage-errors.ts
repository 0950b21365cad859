import { MillraceError } from '../core/index.js'
import type { Deployment } from './stage-names.js'

const AGAIN = 'Nothing to do: the batch comes again until it can be taken.'

export function notActivated(log: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: 'the job has not been activated: the subtask has no log yet',
    where: `log ${log}`,
    todo: `Activate the deployment. ${AGAIN}`,
  })
}

export function otherAttempt(log: string, logged: number, attempt: number): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: `a batch came through the alias of attempt ${attempt}, and the log is of attempt ${logged}`,
    where: `log ${log}`,
    todo: `The batch comes again through the alias of the attempt that runs, or until this log has been reset.`,
  })
}

export function retired(log: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: 'another revision of the job, or a restore, has taken over from this subtask',
    where: `log ${log}`,
    todo: 'Point the mapping of the source to the function of the revision that runs. What is thrown back here comes again there.',
  })
}

export function onHold(log: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: 'the job is stopped, and a batch is never acknowledged while it is',
    where: `log ${log}`,
    todo: 'Start the job again; until then the batch comes again.',
  })
}

export function endedSplit(log: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: 'records came for a split that has ended',
    where: `log ${log}`,
    todo: 'Nothing may be added to a shard that was closed. Restore the job from its last checkpoint.',
  })
}

export function orphanSplit(log: string, splitId: string): MillraceError {
  return new MillraceError('SOURCE_FAILED', {
    what: `split ${splitId} continues no split that the job has read, so nobody waits for it`,
    where: `log ${log}`,
    todo: 'Activate the job again (a restore registers all splits that are there); the stream may have been recreated.',
  })
}

export function registrationRefused(log: string, why: string): MillraceError {
  return new MillraceError('BATCH_REFUSED', { what: `the split could not register: ${why}`, where: `log ${log}`, todo: AGAIN })
}

export function otherPlan(log: string, logged: string, { job, plan, revision }: Deployment): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: `the state of job "${job}" was written under the plan ${logged}, and the function runs the plan ${plan}`,
    where: `log ${log}`,
    todo: `Deploy the changed job under another revision than "${revision}", which restores its state.`,
  })
}

export function noSuchStage(job: string, stage: string, where: string): MillraceError {
  return new MillraceError('PLAN_INVALID', {
    what: where,
    where: `job "${job}", stage "${stage}"`,
    todo: 'Deploy the job again: its functions are from one plan and its streams from another, or a stream was resharded by hand.',
  })
}

export function tooManyLosses(log: string, losses: number): MillraceError {
  return new MillraceError('BATCH_REFUSED', {
    what: `another instance committed first ${losses} times in a row`,
    where: `log ${log}`,
    todo: 'The batch is delivered again.',
  })
}

/** Nobody has looked after it: its newest versions may be among those that are gone, and what is left would be taken for the newest. */
export function expiredLog(log: string, ageMs: number, retentionMs: number): MillraceError {
  const hours = (ms: number) => Math.round(ms / 3_600_000)
  return new MillraceError('LOG_CORRUPT', {
    what: `the log was last renewed ${hours(ageMs)} hours ago, and what is replaced is kept for ${hours(retentionMs)} hours only`,
    where: `log ${log}`,
    todo: 'Restore the job from its last checkpoint, and see to it that the hourly tick reaches every subtask.',
  })
}

export function lostLog(log: string): MillraceError {
  return new MillraceError('LOG_CORRUPT', {
    what: 'the job has registered this split, and its log is gone: it is older than logs are kept',
    where: `log ${log}`,
    todo: 'Restore the job from its last checkpoint, and see to it that the hourly tick reaches every subtask.',
  })
}

export function forgottenSplit(log: string, splitId: string): MillraceError {
  return new MillraceError('SOURCE_FAILED', {
    what: `the stream no longer knows split ${splitId}, which the job has not read to its end: its records are older than the stream keeps them`,
    where: `log ${log}`,
    todo: 'Raise the retention of the stream. Activate the job from nothing, or from a savepoint without this split, to go on without the records.',
  })
}
