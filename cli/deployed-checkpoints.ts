import { setTimeout as pause } from 'node:timers/promises'
import type { CheckpointStepResult } from '../functions/checkpoint-handler.js'
import type { BegunAnswer, CheckpointsAnswer, ListedCheckpoint } from '../functions/control-checkpoints.js'
import { MillraceError } from '../runtime/core/index.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { printJson, printLines } from './print.js'
import { bytes, isoTime, seconds } from './progress.js'
import { table } from './table.js'
import { WaitingLine } from './waiting-line.js'

export interface WaitFlags {
  /** Seconds. */
  readonly timeout?: number
  readonly json?: boolean
}

/** How often a checkpoint in progress is asked after; tests have less time. */
export interface Pace {
  readonly pollMs: number
}

const PACE: Pace = { pollMs: 1_000 }
const TIMEOUT_SECONDS = 600

/** `millrace savepoint --stack …`: takes one, waits for it and prints its path. */
export async function deployedSavepoint(flags: DeployedFlags & WaitFlags, pace = PACE): Promise<void> {
  const taken = await take(await DeployedJob.find(flags), 'savepoint', flags, pace)
  if (flags.json === true) printJson(taken)
  else printLines([taken.path])
}

/** `millrace stop --stack …`: stops the job behind a last savepoint. */
export async function deployedStop(flags: DeployedFlags & WaitFlags & { readonly drain?: boolean }, pace = PACE): Promise<void> {
  if (flags.drain === true) {
    throw new MillraceError('OPTION_INVALID', {
      what: 'A deployed job cannot be drained: its input has no end',
      where: '--drain',
      todo: 'Stop it without --drain; windows that are open then fire when it goes on.',
    })
  }
  const taken = await take(await DeployedJob.find(flags), 'stop', flags, pace)
  if (flags.json === true) printJson({ status: 'stopped', ...taken })
  else printLines([`stopped after ${seconds(taken.durationMs)}`, `savepoint ${taken.path}`])
}

interface Taken {
  readonly checkpointId: number
  readonly path: string
  readonly durationMs: number
}

/** Begins a checkpoint and asks after it until it is complete. One that takes too long is given up, so that afterwards it is known what holds. */
async function take(job: DeployedJob, kind: 'savepoint' | 'stop', { timeout = TIMEOUT_SECONDS }: WaitFlags, { pollMs }: Pace): Promise<Taken> {
  const started = performance.now()
  const durationMs = () => Math.round(performance.now() - started)
  const late = () => durationMs() >= timeout * 1_000
  const line = new WaitingLine()
  try {
    const checkpointId = await begun(job, kind, async (other) => {
      if (late()) throw neverBegun(kind, other, timeout)
      line.show(`${kind}: checkpoint ${other} is in progress, ${seconds(durationMs())}`)
      await pause(pollMs)
    })
    for (let mayAbort = true; ; ) {
      const progress = await job.ask<CheckpointStepResult>({ command: 'progress', checkpointId })
      if (progress.status === 'completed') return { checkpointId, path: progress.path, durationMs: durationMs() }
      if (progress.status === 'aborted') throw aborted(kind, checkpointId, progress.why)
      if (progress.status === 'pending')
        line.show(`${kind} ${checkpointId}: ${progress.acknowledged} of ${progress.needed} subtasks, ${seconds(durationMs())}`)
      if (mayAbort && late()) {
        if (await gaveUp(job, checkpointId)) throw timedOut(kind, checkpointId, timeout)
        // It is being completed, which nothing stops.
        mayAbort = false
      }
      await pause(pollMs)
    }
  } finally {
    line.close()
  }
}

/** Its id. `waitFor` another one that is in progress, and help it along. */
async function begun(job: DeployedJob, kind: 'savepoint' | 'stop', waitFor: (other: number) => Promise<void>): Promise<number> {
  for (;;) {
    const answer = await job.ask<BegunAnswer>({ command: 'begin', kind })
    if (answer.status === 'begun') return answer.checkpointId
    await waitFor(answer.checkpointId)
    await job.ask<CheckpointStepResult>({ command: 'progress', checkpointId: answer.checkpointId })
  }
}

async function gaveUp(job: DeployedJob, checkpointId: number): Promise<boolean> {
  try {
    await job.ask({ command: 'abort', checkpointId })
    return true
  } catch (thrown) {
    if (thrown instanceof MillraceError && thrown.code === 'CONTROL_REFUSED') return false
    throw thrown
  }
}

function aborted(kind: string, checkpointId: number, why: string): MillraceError {
  return new MillraceError('CHECKPOINT_FAILED', {
    what: `${kind} ${checkpointId} was given up: ${why}`,
    todo: kind === 'stop' ? 'The job goes on. Look at its status, and stop it again.' : 'Look at its status, and try again.',
  })
}

function neverBegun(kind: string, other: number, timeout: number): MillraceError {
  return new MillraceError('CONTROL_TIMEOUT', {
    what: `a ${kind} could not begin within ${timeout} s: checkpoint ${other} is still in progress`,
    todo: 'Its status says who has not acknowledged that one; --timeout waits longer.',
  })
}

function timedOut(kind: string, checkpointId: number, timeout: number): MillraceError {
  return new MillraceError('CONTROL_TIMEOUT', {
    what: `${kind} ${checkpointId} was not complete after ${timeout} s and has been given up`,
    todo: 'The job goes on as before. Its status says who had not acknowledged; --timeout gives it more time.',
  })
}

/** `millrace checkpoints --stack …`: what can be restored, newest last. */
export async function deployedCheckpoints(flags: DeployedFlags & { readonly json?: boolean }): Promise<void> {
  const answer = await (await DeployedJob.find(flags)).ask<CheckpointsAnswer>({ command: 'checkpoints' })
  if (flags.json === true) printJson(answer)
  else printLines(answer.checkpoints.length === 0 ? [`no checkpoints or savepoints in ${answer.root}`] : table(answer.checkpoints.map(listed)))
}

function listed({ id, kind, createdAtMs, bytes: size, segments, damaged, path }: ListedCheckpoint): string[] {
  if (damaged !== null) return [`${kind} ${id}`, '-', '-', `damaged: ${damaged}`]
  return [`${kind} ${id}`, isoTime(createdAtMs), `${bytes(size)} in ${segments} ${segments === 1 ? 'file' : 'files'}`, path]
}
