import { statSync } from 'node:fs'
import { operatorOf } from '../runtime/checkpoint/operator-rows.js'
import { MillraceError } from '../runtime/core/index.js'
import type { MetricsSnapshot, OperatorMetricsSnapshot } from '../runtime/local/run-options.js'
import { IMPLIED_TIMERS_TABLE } from '../runtime/state/index.js'
import { callJobAt } from './control-client.js'
import { openSnapshot } from './open-snapshot.js'
import { printJson, printLines } from './print.js'
import { count, isoTime, seconds } from './progress.js'
import { findKey, type ShownState } from './state-commands.js'
import { isWindow, namespaceText, timeText } from './state-rows.js'
import { table } from './table.js'
import type { WhyFlags } from './why-not-fired.js'

/** A timer or window of the key, as of a checkpoint. */
interface SavedTimer {
  /** Epoch ms. */
  readonly firesAtMs: number
  readonly time: 'event' | 'processing'
  readonly namespace: unknown
}

interface SavedTimers {
  readonly checkpoint: string
  readonly createdAtMs: number
  readonly timers: readonly SavedTimer[]
}

/**
 * The same for an embedded job: what its metrics say of watermarks, and the pending timers of a key as of its newest checkpoint. The metrics do
 * not say who feeds whom, so those whose watermark is less than its own are named, wherever they stand.
 */
export async function embeddedWhy(target: string, flags: Pick<WhyFlags, 'uid' | 'key' | 'window' | 'json'>): Promise<void> {
  const metrics = await callJobAt<MetricsSnapshot>(target, 'GET', '/metrics')
  const own = metrics.operators.filter(({ uid }) => uid === flags.uid)
  if (own.length === 0) throw noOperator(flags.uid, metrics)
  const saved = flags.key === undefined || !isFolder(target) ? undefined : await savedTimers(target, { ...flags, key: flags.key })
  const others = othersOf(metrics.operators, own)
  const reasons = [...reasonsOf(metrics, own, others, saved), ...(flags.key !== undefined && saved === undefined ? [unknownKey(target)] : [])]
  if (flags.json === true) printJson({ job: metrics.job, status: metrics.status, uid: flags.uid, operators: own, ...others, saved, reasons })
  else printLines([...lines(metrics, own, flags.uid), ...savedLines(saved), 'why:', ...reasons.map((reason) => `  - ${reason}`)])
}

function unknownKey(target: string): string {
  return isFolder(target)
    ? 'What is pending of the key is not known: the job has no checkpoint yet.'
    : 'What is pending of the key is not known: a control file does not say where checkpoints are. Give the checkpoint folder.'
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** Undefined when there is no checkpoint yet. */
async function savedTimers(folder: string, { uid, key, window: isMeant }: Pick<WhyFlags, 'uid' | 'window'> & { readonly key: string }) {
  try {
    const opened = await openSnapshot(folder, {})
    const { states } = await findKey(opened, operatorOf(opened.manifest, uid), { uid, key })
    const timers = states.flatMap(timersOf).filter(({ namespace }) => isMeant?.(namespace) !== false)
    const { path, manifest } = opened
    return { checkpoint: path, createdAtMs: manifest.createdAtMs, timers: timers.sort((a, b) => a.firesAtMs - b.firesAtMs) } satisfies SavedTimers
  } catch (thrown) {
    if (thrown instanceof MillraceError && thrown.code === 'CHECKPOINT_NOT_FOUND') return undefined
    throw thrown
  }
}

function timersOf({ name, rows }: ShownState): SavedTimer[] {
  const time = name === '(processing timers)' ? 'processing' : 'event'
  return rows.flatMap((row): SavedTimer[] => {
    const { namespace } = row
    if ('firesAtMs' in row) return [{ firesAtMs: row.firesAtMs, time, namespace }]
    return name === IMPLIED_TIMERS_TABLE && isWindow(namespace) ? [{ firesAtMs: namespace[1] - 1, time, namespace }] : []
  })
}

function lines({ job, status, timeMs }: MetricsSnapshot, own: readonly OperatorMetricsSnapshot[], uid: string): string[] {
  const cells = own.map(({ subtask, watermark, recordsIn, recordsOut, stateEntries, late }) => [
    `subtask ${subtask}`,
    `watermark ${isoTime(watermark)}`,
    watermark === null ? '' : `${seconds(timeMs - watermark)} behind`,
    `${count(recordsIn)} in`,
    `${count(recordsOut)} out`,
    `${count(stateEntries)} state entries`,
    late === 0 ? '' : `${count(late)} late`,
  ])
  return [`${uid} of ${job}: ${status}`, ...table(cells, '  ')]
}

function savedLines(saved: SavedTimers | undefined): string[] {
  if (saved === undefined) return []
  const head = `  as of ${saved.checkpoint}, ${isoTime(saved.createdAtMs)}:`
  if (saved.timers.length === 0) return [`${head} nothing pending of the key`]
  return [
    head,
    ...saved.timers.map(({ time, firesAtMs, namespace }) => {
      const when = time === 'event' ? `when the watermark reaches ${timeText(firesAtMs)}` : `at ${timeText(firesAtMs)}`
      return `    ${namespaceText(namespace) || 'timer'} fires ${when}`
    }),
  ]
}

/** Others with the least watermark, if that is less than the operator's own; and those that show none, as sources do. */
function othersOf(operators: readonly OperatorMetricsSnapshot[], own: readonly OperatorMetricsSnapshot[]) {
  const others = operators.filter(({ uid }) => uid !== own[0].uid)
  const known = (some: readonly OperatorMetricsSnapshot[]) => some.flatMap(({ watermark }) => (watermark === null ? [] : [watermark]))
  const least = Math.min(...known(others))
  const slower = least < Math.min(...known(own)) ? others.filter(({ watermark }) => watermark === least) : []
  return { slower, silent: others.filter(({ watermark }) => watermark === null) }
}

function reasonsOf(
  { status, timeMs }: MetricsSnapshot,
  own: readonly OperatorMetricsSnapshot[],
  { slower, silent }: ReturnType<typeof othersOf>,
  saved: SavedTimers | undefined,
): string[] {
  if (status !== 'running') return [`The job is ${status}.`]
  const reasons: string[] = []
  const event = saved?.timers.find(({ time }) => time === 'event')
  const processing = saved?.timers.find(({ time }) => time === 'processing')
  if (saved !== undefined && saved.timers.length === 0) reasons.push('Nothing was pending of the key when the newest checkpoint was taken.')
  for (const { subtask, watermark } of own) {
    if (watermark === null) reasons.push(`Subtask ${subtask} has no watermark: none has come yet, or its input is over.`)
    else if (event !== undefined && watermark < event.firesAtMs)
      reasons.push(`Subtask ${subtask}: the watermark ${timeText(watermark)} has ${seconds(event.firesAtMs - watermark)} of event time to go.`)
  }
  if (processing !== undefined && processing.firesAtMs > timeMs)
    reasons.push(`The next processing timer is due in ${seconds(processing.firesAtMs - timeMs)}.`)
  if (slower.length > 0) reasons.push(`The least watermark, ${isoTime(slower[0].watermark)}, is that of ${named(slower)}.`)
  if (silent.length > 0) reasons.push(`Without a watermark of their own: ${named(silent)}.`)
  reasons.push('A source or split that is silent holds the others back, unless its watermark strategy has withIdleness(…).')
  return reasons
}

const MOST_NAMED = 8

function named(operators: readonly OperatorMetricsSnapshot[]): string {
  const names = operators
    .slice(0, MOST_NAMED)
    .map(({ name, uid, subtask, recordsIn }) => `${name} [${uid}] #${subtask} (${count(recordsIn)} records in)`)
  return names.join(', ') + (operators.length > MOST_NAMED ? ` and ${operators.length - MOST_NAMED} more` : '')
}

function noOperator(uid: string, { operators }: MetricsSnapshot): MillraceError {
  const uids = [...new Set(operators.map((operator) => `"${operator.uid}"`))]
  return new MillraceError('OPTION_INVALID', { what: `the job has no operator with the uid "${uid}"`, todo: `Give one of ${uids.join(', ')}.` })
}
