import type { OpenedCheckpoint } from '../runtime/checkpoint/index.js'
import type { OperatorState } from '../runtime/checkpoint/manifest.js'
import { operatorOf, placeOfKey, readOperatorRows } from '../runtime/checkpoint/operator-rows.js'
import { MillraceError } from '../runtime/core/index.js'
import { fromInternalKey, type InternalKey, toInternalKey } from '../runtime/state/index.js'
import { openSnapshot, type SnapshotFlags } from './open-snapshot.js'
import { plainValue } from './plain-value.js'
import { printJson, printLines } from './print.js'
import { bytes, count, isoTime } from './progress.js'
import {
  keysNamed,
  type NamespaceTest,
  namespaceText,
  type ShownValue,
  serdeNote,
  shownValue,
  TIMER_STATES,
  timerOf,
  timeText,
} from './state-rows.js'
import { table } from './table.js'

export interface StateGetFlags extends SnapshotFlags {
  readonly uid: string
  readonly key: string
  readonly state?: string
  readonly namespace?: NamespaceTest
  readonly json?: boolean
}

/** Rows of one state that are kept of a key. */
export interface ShownState {
  readonly name: string
  readonly kind: string
  readonly serde: string
  readonly rows: ({ readonly namespace: unknown } & (ShownValue | { readonly firesAtMs: number }))[]
}

/** `millrace state get`: what a checkpoint holds of one key. Throws KEY_INVALID, OPTION_INVALID, CHECKPOINT_*. */
export async function stateGet(path: string | undefined, flags: StateGetFlags): Promise<void> {
  const opened = await openSnapshot(path, flags)
  const operator = operatorOf(opened.manifest, flags.uid)
  const found = await findKey(opened, operator, flags)
  if (flags.json === true) printJson({ checkpoint: headOf(opened), uid: flags.uid, ...found })
  else printLines([...headLines(opened), ...keyLines(operator, found)])
  if (found.states.length === 0) throw noRows(flags, opened)
}

/** Of the keys that the text may stand for, the first of which there is anything. */
export async function findKey(
  { manifest, store }: OpenedCheckpoint,
  operator: OperatorState,
  { key: text, state, namespace }: Pick<StateGetFlags, 'uid' | 'key' | 'state' | 'namespace'>,
) {
  const candidates = keysNamed(text).map((key) => ({ key, ...placeOfKey(key, operator) }))
  for (const { key, keyGroup, subtask } of candidates) {
    const internal = toInternalKey(key)
    const states: ShownState[] = []
    for (const [name, rows] of await readOperatorRows(manifest, operator, (ref) => store.readSegment(ref), keyGroup)) {
      if (state !== undefined && name !== state) continue
      const shown: ShownState = { name, kind: rows.info.kind, serde: rows.info.serde, rows: [] }
      rows.each((rowKey, rowNamespace, data, info) => {
        if (rowKey !== internal) return
        const timer = TIMER_STATES.has(name) ? timerOf(rowNamespace) : undefined
        const at = timer === undefined ? rowNamespace : timer.namespace
        if (namespace !== undefined && !namespace(at)) return
        shown.rows.push({ namespace: plainValue(at), ...(timer === undefined ? shownValue(info, data) : { firesAtMs: timer.time }) })
      })
      if (shown.rows.length > 0) states.push(shown)
    }
    if (states.length > 0) return { key: plainValue(key), keyGroup, subtask, states }
  }
  const [{ key, keyGroup, subtask }] = candidates
  return { key: plainValue(key), keyGroup, subtask, states: [] }
}

function keyLines(operator: OperatorState, { key, keyGroup, subtask, states }: Awaited<ReturnType<typeof findKey>>): string[] {
  const lines = [`${operator.uid}, key ${JSON.stringify(key)}: key group ${keyGroup}, subtask ${subtask} of ${operator.parallelism}`]
  for (const { name, kind, serde, rows } of states) {
    const note = serdeNote({ name, kind, serde })
    lines.push(`  ${TIMER_STATES.has(name) ? name : `${name}  ${kind}`}${note === '' ? '' : `  ${note}`}`)
    for (const row of rows) {
      const value = 'firesAtMs' in row ? `fires at ${timeText(row.firesAtMs)}` : JSON.stringify(row.value)
      lines.push(`    ${[namespaceText(row.namespace), value].filter((part) => part !== '').join('  ')}`)
    }
  }
  return lines
}

function noRows({ uid, key, state }: StateGetFlags, { path }: OpenedCheckpoint): MillraceError {
  return new MillraceError('STATE_NOT_FOUND', {
    what: `Operator "${uid}" holds nothing of the key ${key}${state === undefined ? '' : ` in state "${state}"`}`,
    where: path,
    todo: 'Keys are compared as keyBy returned them: \'"17"\' is a text and 17 a number. millrace state list shows the states.',
  })
}

export interface StateListFlags extends SnapshotFlags {
  readonly uid?: string
  readonly json?: boolean
}

interface ListedState {
  readonly name: string
  readonly kind: string
  readonly serde: string
  readonly keys: number
  readonly rows: number
}

/** `millrace state list`: operators of a checkpoint, their states, and how much is in them. */
export async function stateList(path: string | undefined, flags: StateListFlags): Promise<void> {
  const opened = await openSnapshot(path, flags)
  const { operators } = opened.manifest
  const wanted = flags.uid === undefined ? operators : [operatorOf(opened.manifest, flags.uid)]
  const listed = []
  for (const operator of wanted) {
    const { uid, name, parallelism, maxParallelism, subtasks } = operator
    const segments = new Map(subtasks.flatMap(({ keyed }) => keyed.map((ref) => [ref.name, ref.bytes] as const)))
    const size = [...segments.values()].reduce((sum, one) => sum + one, 0)
    const elements = subtasks.reduce((sum, { operatorState }) => sum + operatorState.length, 0)
    listed.push({ uid, name, parallelism, maxParallelism, bytes: size, operatorState: elements, states: await statesOf(opened, operator) })
  }
  if (flags.json === true) printJson({ checkpoint: headOf(opened), operators: listed })
  else printLines([...headLines(opened), ...listed.flatMap(operatorLines)])
}

async function statesOf({ manifest, store }: OpenedCheckpoint, operator: OperatorState): Promise<ListedState[]> {
  const states: ListedState[] = []
  for (const [name, rows] of await readOperatorRows(manifest, operator, (ref) => store.readSegment(ref))) {
    const keys = new Set<InternalKey>()
    let all = 0
    rows.each((key) => {
      keys.add(key)
      all++
    })
    if (all > 0) states.push({ name, kind: rows.info.kind, serde: rows.info.serde, keys: keys.size, rows: all })
  }
  return states
}

interface ListedOperator extends Pick<OperatorState, 'uid' | 'name' | 'parallelism' | 'maxParallelism'> {
  readonly bytes: number
  readonly operatorState: number
  readonly states: readonly ListedState[]
}

function operatorLines({ uid, name, parallelism, maxParallelism, bytes: size, operatorState, states }: ListedOperator): string[] {
  const elements = operatorState === 0 ? '' : `, ${count(operatorState)} ${operatorState === 1 ? 'element' : 'elements'} of operator state`
  const cells = states.map((state) => {
    const rows = state.rows === state.keys ? '' : `${count(state.rows)} rows`
    return [state.name, TIMER_STATES.has(state.name) ? '' : state.kind, `${count(state.keys)} keys`, rows, serdeNote(state)]
  })
  return [`${uid}  ${name}  parallelism ${parallelism} of ${maxParallelism}  ${bytes(size)}${elements}`, ...table(cells, '  ')]
}

/** What is said of the checkpoint that was read. */
export function headOf({ manifest: { job, checkpointId, kind, createdAtMs }, path }: OpenedCheckpoint) {
  return { job, checkpointId, kind, createdAtMs, path }
}

function headLines(opened: OpenedCheckpoint): string[] {
  const { job, checkpointId, kind, createdAtMs, path } = headOf(opened)
  return [`${kind} ${checkpointId} of ${job}, ${isoTime(createdAtMs)}: ${path}`]
}

/** A key for JSON, as functions see it. */
export function shownKey(key: InternalKey): unknown {
  return plainValue(fromInternalKey(key))
}
