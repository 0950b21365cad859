import type { WhyChannel, WhyNotFiredAnswer, WhySender, WhySubtask } from '../functions/control-why.js'
import type { PendingTimer, TimersOfKey } from '../functions/pending-timers.js'
import { DeployedJob } from './deployed-job.js'
import { watermarkText } from './deployed-status.js'
import type { DeployedFlags } from './deployed-target.js'
import { embeddedWhy } from './embedded-why.js'
import { oneTarget } from './job-commands.js'
import { printJson, printLines } from './print.js'
import { count, seconds } from './progress.js'
import { keysNamed, type NamespaceTest, namespaceText, timeText } from './state-rows.js'
import { wrongCommandLine } from './wrong-command-line.js'

export interface WhyFlags extends DeployedFlags {
  readonly uid: string
  readonly key?: string
  /** Only timers of windows that are meant. */
  readonly window?: NamespaceTest
  readonly json?: boolean
}

/** `millrace why-not-fired`: what an operator's timers and windows wait for. Throws OPTION_INVALID, CONTROL_*. */
export async function whyNotFiredCommand(folder: string | undefined, flags: WhyFlags): Promise<void> {
  checkWhyFlags(flags)
  if (!oneTarget(folder, flags)) return embeddedWhy(folder as string, flags)
  const { uid, key, window: isMeant, json } = flags
  // JSON has no whole numbers of any size.
  const keys = key === undefined ? undefined : keysNamed(key).filter((one) => typeof one !== 'bigint')
  const job = await DeployedJob.find(flags)
  const answer = await job.ask<WhyNotFiredAnswer>({ command: 'why-not-fired', uid, ...(keys === undefined ? {} : { keys }) })
  const shown = answer.key === null || isMeant === undefined ? answer : { ...answer, key: onlyMeant(answer.key, isMeant) }
  if (json === true) printJson({ ...shown, reasons: reasonsOf(shown) })
  else printLines(describe(shown))
}

function onlyMeant(key: TimersOfKey, isMeant: NamespaceTest): TimersOfKey {
  return { ...key, timers: key.timers.filter(({ namespace }) => isMeant(namespace)) }
}

function describe(answer: WhyNotFiredAnswer): string[] {
  const { uid, stage, key, subtasks, timeMs } = answer
  const place = key === null ? '' : `, key ${JSON.stringify(key.key)}`
  return [
    `${uid} (stage ${stage})${place}: ${answer.phase}`,
    ...subtasks.flatMap((subtask) => subtaskLines(subtask, answer)),
    ...(key === null ? [] : key.timers.map((timer) => `  pending: ${timerText(timer, timeMs)}`)),
    'why:',
    ...reasonsOf(answer).map((reason) => `  - ${reason}`),
  ]
}

function subtaskLines({ subtask, watermark, idle, committedAtMs, timers, channels }: WhySubtask, { timeMs }: WhyNotFiredAnswer): string[] {
  const committed = committedAtMs === null ? '' : `, last commit ${seconds(timeMs - committedAtMs)} ago`
  const counts = timers === null ? '' : `, ${count(timers.event.count)} event timers and ${count(timers.processing.count)} processing timers pending`
  return [
    `  subtask ${subtask}: watermark ${watermarkText(watermark)}${idle ? ', idle' : ''}${committed}${counts}`,
    ...channels.map((channel) => `    from ${channel.stage} ${channel.subtask}: ${channelText(channel)}`),
  ]
}

function channelText({ watermark, idle, ended, holds, waiting, missing, behindBarrier }: WhyChannel): string {
  return [
    `watermark ${watermarkText(watermark)}`,
    idle && 'idle',
    ended && 'ended',
    holds && 'holds the others back',
    waiting > 0 && `${waiting} ${waiting === 1 ? 'frame waits' : 'frames wait'}`,
    missing !== null && `for frame ${missing}, which has not come`,
    behindBarrier !== null && `for the barrier of checkpoint ${behindBarrier}`,
  ]
    .filter((part) => part !== false)
    .join(', ')
}

function timerText({ time, atMs, namespace }: PendingTimer, timeMs: number): string {
  const where = namespaceText(namespace)
  const when = time === 'event' ? `when the watermark reaches ${timeText(atMs)}` : `at ${timeText(atMs)}, ${distance(atMs - timeMs)}`
  return `${where === '' ? 'timer' : where} fires ${when}`
}

function distance(ms: number): string {
  return ms >= 0 ? `in ${seconds(ms)}` : `due for ${seconds(-ms)}`
}

/** The reasons, the first that holds first. */
export function reasonsOf({ phase, key, subtasks, timeMs }: WhyNotFiredAnswer): string[] {
  if (phase === 'never-activated') return ['The job was never activated: deploy it, activation is part of that.']
  if (phase === 'stopped') return ['The job is stopped: nothing fires until it goes on (millrace start).']
  if (phase === 'restoring') return ['The job is being restored: nothing fires until that is done.']
  const reasons = subtasks
    .filter(({ life }) => life === 'stopped')
    .map(({ subtask }) => `Subtask ${subtask} stands at the barrier of a stop, behind which nothing fires.`)
  if (key !== null && key.timers.length === 0) return [...reasons, nothingPending(key)]
  for (const subtask of subtasks) if (subtask.life === 'running') reasons.push(...runningReasons(subtask, key, timeMs))
  return reasons.length === 0 ? ['Nothing holds it back: whatever is due fires with the next commit.'] : reasons
}

function nothingPending({ rows }: TimersOfKey): string {
  return rows === 0
    ? 'Nothing is kept of this key: no record with it has come, or all its windows have fired, or its records came too late. (Is the key a text or a number?)'
    : 'State is kept of this key, but no timer or window is pending that is meant.'
}

function runningReasons(subtask: WhySubtask, key: TimersOfKey | null, timeMs: number): string[] {
  const reasons: string[] = []
  const whose = `Subtask ${subtask.subtask}`
  const event = key === null ? subtask.timers?.event.nextMs : key.timers.find(({ time }) => time === 'event')?.atMs
  const processing = key === null ? subtask.timers?.processing.nextMs : key.timers.find(({ time }) => time === 'processing')?.atMs
  if (subtask.firing) reasons.push(`${whose} is firing timers at this moment, as many with each commit as a commit may.`)
  if (typeof event === 'number') reasons.push(...eventReasons(subtask, whose, event))
  else if (key === null && subtask.timers === null) reasons.push(...holdReasons(subtask, timeMs))
  if (typeof event === 'number' && !isReached(subtask, event)) reasons.push(...holdReasons(subtask, timeMs))
  if (typeof processing === 'number') {
    const late = processing <= timeMs ? 'and fires with the next commit or poke: a tick comes each hour at least' : 'of processing time'
    reasons.push(`${whose}: the next processing timer is ${distance(processing - timeMs)} (${timeText(processing)}) ${late}.`)
  }
  if (key === null && subtask.timers !== null && event === null && processing === null) reasons.push(`${whose} has nothing pending.`)
  return reasons
}

function isReached({ watermark }: WhySubtask, atMs: number): boolean {
  return watermark === 'end' || (watermark !== null && watermark >= atMs)
}

function eventReasons(subtask: WhySubtask, whose: string, atMs: number): string[] {
  const { watermark } = subtask
  if (isReached(subtask, atMs)) return [`${whose}: the watermark has reached ${timeText(atMs)}, so it fires with the next commit.`]
  const next = `the next is due at ${timeText(atMs)}`
  if (watermark === null || watermark === 'end') return [`${whose} has no watermark yet, and ${next}.`]
  return [`${whose}: the watermark ${timeText(watermark)} has ${seconds(atMs - watermark)} of event time to go: ${next}.`]
}

/** Who holds the watermark back, from the channel to the source. */
function holdReasons({ channels, heldBy }: WhySubtask, timeMs: number): string[] {
  const reasons: string[] = []
  for (const { stage, subtask, missing, behindBarrier, waiting } of channels) {
    if (missing !== null)
      reasons.push(
        `Frame ${missing} from ${stage} ${subtask} has not come, and ${waiting} behind it wait; its sender sends it again with its next commit.`,
      )
    if (behindBarrier !== null)
      reasons.push(
        `What comes from ${stage} ${subtask} waits for checkpoint ${behindBarrier}, whose barrier others have not sent (millrace status says who).`,
      )
  }
  if (channels.length > 0 && channels.every(({ idle, ended }) => idle || ended))
    reasons.push('All that it reads from is idle, so its watermark stands still until a record comes.')
  if (heldBy.length > 1) reasons.push(`It is held back through ${heldBy.map(({ stage, subtask }) => `${stage} ${subtask}`).join(', from ')}.`)
  const last = heldBy.at(-1)
  if (last !== undefined) reasons.push(...senderReasons(last, timeMs))
  return reasons
}

function senderReasons({ stage, subtask, isSource, life, watermark, lastBatchAtMs, baseAtMs }: WhySender, timeMs: number): string[] {
  const name = `${stage} ${subtask}`
  if (life === 'none') return [`${name} has not begun.`]
  if (life === 'stopped') return [`${name} stands at the barrier of a stop.`]
  const silence =
    lastBatchAtMs === null
      ? `has had no record for ${seconds(timeMs - (baseAtMs ?? timeMs))} at least`
      : `had its last records ${seconds(timeMs - lastBatchAtMs)} ago`
  const said = watermark === null ? 'has sent no watermark yet' : `is at watermark ${watermarkText(watermark)}`
  const held = `${name} holds it back: it ${said}, ${silence}, and is not idle.`
  if (!isSource) return [held]
  const mend =
    watermark === null && lastBatchAtMs !== null
      ? 'Does its watermark strategy make watermarks, and do its records have timestamps?'
      : 'If it may be silent while others are not, let its watermark strategy have withIdleness(…).'
  return [held, mend]
}

/** What cannot be meant together. */
function checkWhyFlags({ key, window: isMeant }: Pick<WhyFlags, 'key' | 'window'>): void {
  if (key !== undefined || isMeant === undefined) return
  throw wrongCommandLine('--window needs a key', 'Add --key KEY.')
}
