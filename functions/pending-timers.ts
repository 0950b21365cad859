import { foldRows, type OperatorRows } from '../runtime/checkpoint/operator-rows.js'
import { MillraceError } from '../runtime/core/index.js'
import type { VertexPlan } from '../runtime/plan/index.js'
import {
  fromInternalKey,
  IMPLIED_TIMERS_TABLE,
  type InternalKey,
  keyGroupOf,
  keyGroupRange,
  subtaskOfKeyGroup,
  toInternalKey,
} from '../runtime/state/index.js'
import { READ_WHOLE, recover } from '../runtime/task/stage-recovery.js'
import type { JobPorts } from './aws-ports.js'

/** A timer that has not fired, or a window that fires at its end. */
export interface PendingTimer {
  readonly time: 'event' | 'processing'
  /** Epoch ms: when it fires. */
  readonly atMs: number
  /** The window as data, or null. */
  readonly namespace: unknown
}

export interface TimersOfKey {
  readonly key: unknown
  readonly keyGroup: number
  readonly subtask: string
  /** Soonest first. */
  readonly timers: readonly PendingTimer[]
  /** Rows of state that are kept of the key, whether or not a timer belongs to them. */
  readonly rows: number
}

/** Of all keys of a subtask. */
export interface TimersOfSubtask {
  readonly event: TimerCount
  readonly processing: TimerCount
}

export interface TimerCount {
  readonly count: number
  /** Epoch ms; null: there is none. */
  readonly nextMs: number | null
}

/** Names under which keyed-state-backend.ts keeps timers. */
const TIMERS = new Map<string, PendingTimer['time']>([
  ['(event timers)', 'event'],
  ['(processing timers)', 'processing'],
])

type LogPorts = Pick<JobPorts, 'log' | 'parts' | 'checkpoints'>

/** Timers of the first of `keys` of which the operator keeps anything; or of the first. Throws KEY_INVALID. */
export async function timersOfKey(
  ports: LogPorts,
  logOf: (subtask: string) => string,
  { parallelism, maxParallelism }: VertexPlan,
  uid: string,
  keys: readonly unknown[],
): Promise<TimersOfKey> {
  let first: TimersOfKey | undefined
  for (const key of keys) {
    const internal = toInternalKey(key)
    const keyGroup = keyGroupOf(internal, maxParallelism)
    const subtask = String(subtaskOfKeyGroup(keyGroup, maxParallelism, parallelism))
    const found = ofKey(await rowsIn(ports, logOf(subtask), uid, { first: keyGroup, last: keyGroup }), internal)
    const answer = { key: fromInternalKey(internal), keyGroup, subtask, ...found }
    if (answer.rows + answer.timers.length > 0) return answer
    first ??= answer
  }
  if (first === undefined) throw new MillraceError('OPTION_INVALID', { what: 'no key is named', todo: 'Give { keys: [key] }.' })
  return first
}

export async function timersOfSubtask(ports: LogPorts, log: string, uid: string, maxParallelism: number): Promise<TimersOfSubtask> {
  const counts = { event: { count: 0, nextMs: null as number | null }, processing: { count: 0, nextMs: null as number | null } }
  eachTimer(await rowsIn(ports, log, uid, keyGroupRange(0, maxParallelism, 1)), (_key, { time, atMs }) => {
    const counted = counts[time]
    counted.count++
    counted.nextMs = counted.nextMs === null ? atMs : Math.min(counted.nextMs, atMs)
  })
  return counts
}

/** As of the log's newest version, without the memory of whoever works on it. */
async function rowsIn(ports: LogPorts, log: string, uid: string, range: Parameters<typeof foldRows>[1]): Promise<OperatorRows> {
  const { item } = await ports.log.head(log)
  if (item === undefined) return new Map()
  const { segments } = await recover(ports, log, item, READ_WHOLE)
  return foldRows(segments.get(uid) ?? [], range, uid)
}

function ofKey(states: OperatorRows, wanted: InternalKey): Pick<TimersOfKey, 'timers' | 'rows'> {
  const timers: PendingTimer[] = []
  eachTimer(states, (key, timer) => {
    if (key === wanted) timers.push(timer)
  })
  let rows = 0
  for (const [name, of] of states) {
    if (TIMERS.has(name)) continue
    of.each((key) => {
      if (key === wanted) rows++
    })
  }
  return { timers: timers.sort((a, b) => a.atMs - b.atMs), rows }
}

function eachTimer(states: OperatorRows, visit: (key: InternalKey, timer: PendingTimer) => void): void {
  for (const [name, rows] of states) {
    const time = TIMERS.get(name)
    if (time !== undefined) {
      rows.each((key, at) => {
        const [atMs, namespace] = at as [number, unknown]
        visit(key, { time, atMs, namespace })
      })
    } else if (name === IMPLIED_TIMERS_TABLE) {
      // Each row is a window that fires at its last millisecond (docs/decisions/0006).
      rows.each((key, window) => {
        visit(key, { time: 'event', atMs: (window as [number, number])[1] - 1, namespace: window })
      })
    }
  }
}
