import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { PlacesAnswer } from '../functions/control-checkpoints.js'
import type { JobStatusAnswer } from '../functions/control-status.js'
import type { TransitionProgress } from '../functions/transitions.js'
import { MillraceError } from '../runtime/core/index.js'
import type { Pace, WaitFlags } from './deployed-checkpoints.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { printJson, printLines } from './print.js'
import { seconds } from './progress.js'
import { WaitingLine } from './waiting-line.js'
import { wrongCommandLine } from './wrong-command-line.js'

const PACE: Pace = { pollMs: 2_000 }
const TIMEOUT_SECONDS = 1_800

/** `millrace restore`: the job goes back to one of its checkpoints. `which`: an id, its `s3://` address, or `latest`. */
export async function restoreCommand(which: string, flags: DeployedFlags & WaitFlags, pace = PACE): Promise<void> {
  const job = await DeployedJob.find(flags)
  await restore(job, await checkpointNamed(job, which), flags, pace)
}

/** `millrace start`: a job that was stopped goes on with the savepoint it was stopped with. */
export async function startCommand(flags: DeployedFlags & WaitFlags, pace = PACE): Promise<void> {
  const job = await DeployedJob.find(flags)
  const status = await job.ask<JobStatusAnswer>({ command: 'status' })
  if (status.phase !== 'stopped' || status.lastCompleted === null) throw notStopped(status)
  await restore(job, status.lastCompleted.id, flags, pace)
}

async function checkpointNamed(job: DeployedJob, which: string): Promise<number> {
  if (/^\d+$/.test(which)) return Number(which)
  if (which === 'latest') {
    const { lastCompleted, job: name } = await job.ask<JobStatusAnswer>({ command: 'status' })
    if (lastCompleted !== null) return lastCompleted.id
    throw new MillraceError('CHECKPOINT_NOT_FOUND', {
      what: `Job "${name}" has no completed checkpoint`,
      todo: 'millrace checkpoints lists what is there.',
    })
  }
  const { checkpoints, job: name } = await job.ask<PlacesAnswer>({ command: 'places' })
  const id = which.startsWith(`${checkpoints}/`) ? /^chk-(\d+)(?:\/(?:manifest\.json)?)?$/.exec(which.slice(checkpoints.length + 1))?.[1] : undefined
  if (id !== undefined) return Number(id)
  throw wrongCommandLine(
    `${which} is no checkpoint of job "${name}"`,
    `Give an id, latest, or ${checkpoints}/chk-<id>: millrace checkpoints lists them.`,
  )
}

/** Makes step after step. Nobody else does: left alone, it stays where it is until it is asked for again. */
async function restore(job: DeployedJob, checkpointId: number, { timeout = TIMEOUT_SECONDS, json }: WaitFlags, { pollMs }: Pace): Promise<void> {
  const started = performance.now()
  const request = randomUUID()
  const line = new WaitingLine()
  try {
    for (;;) {
      const progress = await job.ask<TransitionProgress>({ command: 'restore', checkpointId, request })
      const durationMs = Math.round(performance.now() - started)
      if (progress.status === 'failed') throw failed(checkpointId, progress.why)
      if (progress.status === 'done') {
        line.close()
        const { attempt, warning } = progress
        if (json === true) printJson({ status: 'running', checkpointId, attempt, durationMs, ...(warning === undefined ? {} : { warning }) })
        else printLines([`running with checkpoint ${checkpointId} after ${seconds(durationMs)}, attempt ${attempt}`])
        if (warning !== undefined) process.stderr.write(`millrace: ${warning}\n`)
        return
      }
      line.show(`restoring checkpoint ${checkpointId}, ${seconds(durationMs)}: ${progress.why}`)
      if (durationMs >= timeout * 1_000) throw timedOut(checkpointId, timeout, progress.why)
      await pause(pollMs)
    }
  } finally {
    line.close()
  }
}

function notStopped({ job, phase }: JobStatusAnswer): MillraceError {
  const never = phase === 'never-activated'
  return new MillraceError('CONTROL_REFUSED', {
    what: never ? `job "${job}" was never activated` : `job "${job}" is ${phase}, not stopped`,
    todo: never ? 'Deploy it: activation is part of the deployment.' : 'To go back to a checkpoint, millrace restore ID.',
  })
}

function failed(checkpointId: number, why: string): MillraceError {
  return new MillraceError('CONTROL_REFUSED', {
    what: `the job was not restored to checkpoint ${checkpointId}: ${why}`,
    todo: 'Its status says what runs now. Mend the cause and restore again, or restore another checkpoint.',
  })
}

function timedOut(checkpointId: number, timeout: number, why: string): MillraceError {
  return new MillraceError('CONTROL_TIMEOUT', {
    what: `the restore of checkpoint ${checkpointId} was not done after ${timeout} s: ${why}`,
    todo: 'Nobody goes on with it by itself: run the command again.',
  })
}
