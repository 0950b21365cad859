import { isDeepStrictEqual } from 'node:util'
import type { OpenedCheckpoint } from '../runtime/checkpoint/index.js'
import { operatorOf, readOperatorRows } from '../runtime/checkpoint/operator-rows.js'
import type { InternalKey } from '../runtime/state/index.js'
import { checkTarget } from './deployed-target.js'
import { openSnapshot, type SnapshotFlags } from './open-snapshot.js'
import { plainValue } from './plain-value.js'
import { printJson, printLines } from './print.js'
import { count, isoTime } from './progress.js'
import { headOf, shownKey } from './state-commands.js'
import { namespaceText, shownValue, TIMER_STATES, timerOf } from './state-rows.js'

export interface StateDiffFlags extends SnapshotFlags {
  readonly uid?: string
  /** Rows to show of each state. Default 10. */
  readonly limit?: number
  readonly json?: boolean
}

interface Difference {
  readonly uid: string
  readonly state: string
  readonly added: number
  readonly removed: number
  readonly changed: number
  readonly rows: readonly ChangedRow[]
}

interface ChangedRow {
  readonly change: 'added' | 'removed' | 'changed'
  readonly key: unknown
  readonly namespace: unknown
  /** Absent where there is none. */
  readonly before?: unknown
  readonly after?: unknown
}

const SHOWN = 10

/** `millrace state diff`: rows that two checkpoints of a job do not have in common, by operator and state. Throws OPTION_INVALID, CHECKPOINT_*. */
export async function stateDiff(before: string, after: string, flags: StateDiffFlags): Promise<void> {
  checkTarget(flags)
  const [a, b] = [await openOne(before, flags), await openOne(after, flags)]
  const uids = new Set([...a.manifest.operators, ...b.manifest.operators].map(({ uid }) => uid))
  // It says which there are.
  if (flags.uid !== undefined && !uids.has(flags.uid)) operatorOf(b.manifest, flags.uid)
  const differences: Difference[] = []
  for (const uid of uids)
    if (flags.uid === undefined || flags.uid === uid) differences.push(...(await differencesOf(uid, a, b, flags.limit ?? SHOWN)))
  if (flags.json === true) printJson({ before: headOf(a), after: headOf(b), differences })
  else printLines([headLine('-', a), headLine('+', b), ...(differences.length === 0 ? ['no difference in keyed state'] : differences.flatMap(lines))])
}

/** Ids are checkpoints of the deployed job, all else paths. */
function openOne(which: string, flags: StateDiffFlags): Promise<OpenedCheckpoint> {
  const { stack, job, function: name } = flags
  return /^\d+$/.test(which) && (stack !== undefined || name !== undefined)
    ? openSnapshot(undefined, { stack, job, function: name, checkpoint: Number(which) })
    : openSnapshot(which, {})
}

interface Row {
  readonly key: InternalKey
  readonly namespace: unknown
  readonly data: unknown
  readonly value: unknown
}

async function differencesOf(uid: string, a: OpenedCheckpoint, b: OpenedCheckpoint, limit: number): Promise<Difference[]> {
  const [before, after] = [await rowsOf(uid, a), await rowsOf(uid, b)]
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((state) => {
    const [was, is] = [before.get(state) ?? new Map<string, Row>(), after.get(state) ?? new Map<string, Row>()]
    const changes = [...changesOf(was, is)]
    const of = (wanted: ChangedRow['change']) => changes.filter(({ change }) => change === wanted).length
    if (changes.length === 0) return []
    return [{ uid, state, added: of('added'), removed: of('removed'), changed: of('changed'), rows: changes.slice(0, limit) }]
  })
}

function* changesOf(before: ReadonlyMap<string, Row>, after: ReadonlyMap<string, Row>): Iterable<ChangedRow> {
  for (const [id, { key, namespace, value, data }] of after) {
    const was = before.get(id)
    const row = { key: shownKey(key), namespace: plainValue(namespace) }
    if (was === undefined) yield { change: 'added', ...row, after: value }
    else if (!isDeepStrictEqual(was.data, data)) yield { change: 'changed', ...row, before: was.value, after: value }
  }
  for (const [id, { key, namespace, value }] of before) {
    if (!after.has(id)) yield { change: 'removed', key: shownKey(key), namespace: plainValue(namespace), before: value }
  }
}

/** By state, rows by key and namespace. */
async function rowsOf(uid: string, { manifest, store }: OpenedCheckpoint): Promise<ReadonlyMap<string, ReadonlyMap<string, Row>>> {
  const operator = manifest.operators.find((one) => one.uid === uid)
  const states = new Map<string, Map<string, Row>>()
  if (operator === undefined) return states
  for (const [name, rows] of await readOperatorRows(manifest, operator, (ref) => store.readSegment(ref))) {
    const all = new Map<string, Row>()
    rows.each((key, namespace, data, info) => {
      const timer = TIMER_STATES.has(name) ? timerOf(namespace) : undefined
      const value = timer === undefined ? shownValue(info, data).value : { firesAtMs: timer.time }
      const row = { key, namespace: timer === undefined ? namespace : timer.namespace, data, value }
      all.set(`${typeof key} ${key}\n${JSON.stringify(plainValue(namespace))}`, row)
    })
    states.set(name, all)
  }
  return states
}

function headLine(sign: string, opened: OpenedCheckpoint): string {
  const { kind, checkpointId, job, createdAtMs, path } = headOf(opened)
  return `${sign} ${kind} ${checkpointId} of ${job}, ${isoTime(createdAtMs)}: ${path}`
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const

function lines({ uid, state, added, removed, changed, rows }: Difference): string[] {
  const left = added + removed + changed - rows.length
  return [
    `${uid}  ${state}: ${count(added)} added, ${count(removed)} removed, ${count(changed)} changed`,
    ...rows.map(({ change, key, namespace, before, after }) => {
      const values = [before, after].filter((value) => value !== undefined && value !== null).map((value) => JSON.stringify(value))
      return ['  ', SIGNS[change], JSON.stringify(key), namespaceText(namespace), values.join(' -> ')].filter((part) => part !== '').join(' ')
    }),
    ...(left === 0 ? [] : [`   … and ${count(left)} more (--limit shows more)`]),
  ]
}
