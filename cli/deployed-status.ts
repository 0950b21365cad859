import type { JobStatusAnswer, StageAnswer, SubtaskAnswer, WatermarkAnswer } from '../functions/control-status.js'
import { DeployedJob } from './deployed-job.js'
import type { DeployedFlags } from './deployed-target.js'
import { printJson, printLines } from './print.js'
import { bytes, isoTime, seconds } from './progress.js'
import { table } from './table.js'

/** `millrace status --stack …`: the job, its checkpoints, and a line for each subtask. */
export async function deployedStatus(flags: DeployedFlags & { readonly json?: boolean }): Promise<void> {
  const status = await (await DeployedJob.find(flags)).ask<JobStatusAnswer>({ command: 'status' })
  if (flags.json === true) printJson(status)
  else printLines(describe(status))
}

function describe(status: JobStatusAnswer): string[] {
  const { job, phase, revision, ownRevision, attempt, stages } = status
  if (phase === 'never-activated') return [`${job}: never activated (revision ${ownRevision} is deployed)`]
  const lines = [`${job}: ${phase}, revision ${revision}, attempt ${attempt}`, ...checkpointLines(status)]
  if (revision !== ownRevision)
    return [...lines, `  revision ${ownRevision} of the job is deployed and not active; ask that of revision ${revision} for its stages`]
  return [...lines, ...stages.flatMap((stage) => stageLines(stage, status))]
}

function checkpointLines({ pending, lastCompleted, lastAborted, from, timeMs }: JobStatusAnswer): string[] {
  const lines: string[] = []
  if (from !== null)
    lines.push(`  began with ${from.savepoint ? 'savepoint' : 'checkpoint'} ${from.checkpointId}${from.root === undefined ? '' : ` of ${from.root}`}`)
  if (lastCompleted === null) lines.push('  no checkpoint yet')
  else {
    const { id, kind, path, bytes: size, createdAtMs } = lastCompleted
    lines.push(`  last ${kind} ${id}, ${bytes(size)}, ${seconds(timeMs - createdAtMs)} ago: ${path}`)
  }
  if (lastAborted !== null && lastAborted.id > (lastCompleted?.id ?? 0)) lines.push(`  checkpoint ${lastAborted.id} was given up: ${lastAborted.why}`)
  if (pending !== null) {
    const { id, kind, startedAtMs, needed, missing, completing } = pending
    const who = missing.map(({ stage, subtask }) => `${stage} ${subtask}`).join(', ')
    const state = completing
      ? 'all have acknowledged'
      : `${needed - missing.length} of ${needed} have acknowledged${who === '' ? '' : `, not ${who}`}`
    lines.push(`  ${kind} ${id} in progress for ${seconds(timeMs - startedAtMs)}: ${state}`)
  }
  return lines
}

function stageLines({ stage, operators, isSource, subtasks }: StageAnswer, { timeMs }: JobStatusAnswer): string[] {
  const title = `stage ${stage}${isSource ? ' (source)' : ''}${operators.length === 1 ? '' : `  operators ${operators.join(', ')}`}`
  return [
    title,
    ...table(
      subtasks.map((subtask) => subtaskCells(subtask, timeMs)),
      '  ',
    ),
  ]
}

function subtaskCells({ subtask, life, version, epoch, position, watermark, idle, stash, ...times }: SubtaskAnswer, timeMs: number): string[] {
  if (life === 'none') return [subtask, 'not begun']
  return [
    subtask,
    idle && life === 'running' ? 'idle' : life,
    `version ${version}`,
    `epoch ${epoch}`,
    `watermark ${watermarkText(watermark)}`,
    typeof watermark === 'number' ? `${seconds(timeMs - watermark)} behind` : '',
    lastBatch(times, timeMs),
    `position ${position ?? '-'}`,
    stash.frames === 0
      ? ''
      : `${stash.frames} ${stash.frames === 1 ? 'frame waits' : 'frames wait'} (${bytes(stash.bytes)})${stash.gaps === 0 ? '' : `, ${stash.gaps} with gaps`}`,
  ]
}

function lastBatch({ lastBatchAtMs, baseAtMs }: Pick<SubtaskAnswer, 'lastBatchAtMs' | 'baseAtMs'>, timeMs: number): string {
  if (lastBatchAtMs !== null) return `last batch ${seconds(timeMs - lastBatchAtMs)} ago`
  return baseAtMs === null ? '' : `no batch for ${seconds(timeMs - baseAtMs)}`
}

/** A watermark for people: `-` before the first, `end` behind all input. */
export function watermarkText(watermark: WatermarkAnswer): string {
  return watermark === 'end' ? 'end' : isoTime(watermark)
}
