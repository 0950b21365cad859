import { isDeepStrictEqual } from 'node:util'
import { InvalidArgumentError } from 'commander'
import { isTimed, type StateInfo, untimedSerdeId } from '../runtime/state/index.js'
import { plainValue } from './plain-value.js'

/** A value of state for people and JSON: what stands in the snapshot, by the kind of the state. */
export interface ShownValue {
  /** Of bytes that a serde of the job wrote: base64. */
  readonly value: unknown
  /** When it was last written or read, epoch ms; only with a time to live. */
  readonly times?: unknown
}

/** Without the job's code the bytes of a serde stay bytes. */
export function shownValue({ kind, serde }: StateInfo, data: unknown): ShownValue {
  const [times, plain] = isTimed(serde) ? (data as [unknown, unknown]) : [undefined, data]
  const value = kind === 'map' ? entriesOf(plain) : plainValue(plain)
  return { value, ...(times === undefined ? {} : { times: plainValue(times) }) }
}

function entriesOf(data: unknown): unknown {
  const [keys, values] = data as [unknown[], unknown[]]
  return keys.map((key, i) => [plainValue(key), plainValue(values[i])])
}

/** `structural` values need no name. */
export function serdeNote({ serde }: StateInfo): string {
  const id = untimedSerdeId(serde)
  const note = /^structural(?:,structural)?$/.test(id) ? '' : `serde ${id}`
  return isTimed(serde) ? [note, 'with a time to live'].filter((part) => part !== '').join(', ') : note
}

/** The text of `--key` as keys it may stand for: itself, and what it is as JSON (`17`, `true`, `["a",1]`) or as a bigint (`17n`). */
export function keysNamed(text: string): readonly unknown[] {
  const keys: unknown[] = [text]
  if (/^-?\d+n$/.test(text)) keys.push(BigInt(text.slice(0, -1)))
  try {
    const value: unknown = JSON.parse(text)
    // In quotes it is surely the text within them.
    if (typeof value === 'string') return [value]
    if (value !== null) keys.push(value)
  } catch {
    // Plain text.
  }
  return keys
}

/** Whether a namespace is meant by `--namespace` or `--window`. */
export type NamespaceTest = (namespace: unknown) => boolean

/** Parses a namespace as JSON (`[start,end]` of a window, epoch ms), or a time within a window: epoch ms, or as ISO 8601 says it. */
export function namespaceTest(text: string): NamespaceTest {
  const time = /^\d{4}-/.test(text) ? Date.parse(text) : Number(text)
  if (Number.isFinite(time) && text !== '') return (namespace) => holds(namespace, time)
  try {
    const wanted: unknown = JSON.parse(text)
    return (namespace) => isDeepStrictEqual(plainValue(namespace), wanted)
  } catch {
    throw new InvalidArgumentError('Give a window as [start,end] in epoch ms, or a time in it: epoch ms, or 2026-03-01T12:00:00Z.')
  }
}

function holds(namespace: unknown, time: number): boolean {
  return isWindow(namespace) && namespace[0] <= time && time < namespace[1]
}

/** A time window as snapshots hold it. */
export function isWindow(namespace: unknown): namespace is readonly [number, number] {
  return Array.isArray(namespace) && namespace.length === 2 && namespace.every((time) => typeof time === 'number')
}

/** A namespace for people. Timers stand under their time and their window. */
export function namespaceText(namespace: unknown): string {
  if (namespace === null || namespace === undefined) return ''
  return isWindow(namespace) ? `window ${timeText(namespace[0])} to ${timeText(namespace[1])}` : `namespace ${JSON.stringify(plainValue(namespace))}`
}

export function timeText(epochMs: number): string {
  return Math.abs(epochMs) <= 8.64e15 ? new Date(epochMs).toISOString() : String(epochMs)
}

export const TIMER_STATES: ReadonlySet<string> = new Set(['(event timers)', '(processing timers)'])

/** Time and namespace under which a timer stands. */
export function timerOf(namespace: unknown): { readonly time: number; readonly namespace: unknown } {
  const [time, window] = namespace as [number, unknown]
  return { time, namespace: window }
}
