import { crc32, MillraceError } from '../core/index.js'
import { pack, structuralFault, unpack } from '../state/index.js'
import { fromBase64, toBase64 } from './base64.js'
import { MANIFEST_FORMAT, type Manifest, type OperatorState, type OperatorSubtaskState, type SegmentRef } from './manifest.js'
import { manifestFault } from './manifest-shape.js'

/** The file begins with exactly this; the checksum's eight hexadecimal digits stand in between. */
const BEFORE_CRC = '{"crc32":"'
const AFTER_CRC = '","manifest":'
/** As a file says it: format 1 with segments that stand in the manifest, or of which only some key groups count. */
const FORMAT_WITH_PARTS = 2
const BODY_START = BEFORE_CRC.length + 8 + AFTER_CRC.length

/**
 * A manifest as JSON text `{"crc32":"…","manifest":{…}}`, the checksum over the bytes of the inner text. Operator and
 * coordinator state stand in it as base64 of the structural serialisation, so that what JSON has no word for survives; inline segments as base64.
 * Throws STATE_UNSERIALISABLE, naming the operator.
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const format = manifest.operators.some(hasParts) ? FORMAT_WITH_PARTS : manifest.format
  const stored = { ...manifest, format, operators: manifest.operators.map(operatorToStored) }
  const body = new TextEncoder().encode(JSON.stringify(stored))
  const head = new TextEncoder().encode(BEFORE_CRC + hex(crc32(body)) + AFTER_CRC)
  const bytes = new Uint8Array(head.length + body.length + 1)
  bytes.set(head)
  bytes.set(body, head.length)
  bytes[bytes.length - 1] = 125 // }
  return bytes
}

/** Throws CHECKPOINT_CORRUPT for damaged or truncated bytes, CHECKPOINT_VERSION for another format. `where` is the file, for the message. */
export function decodeManifest(bytes: Uint8Array, where: string): Manifest {
  const stored = parseBody(bytes, where)
  const { format } = stored as { format?: unknown }
  if (typeof format === 'number' && format !== MANIFEST_FORMAT && format !== FORMAT_WITH_PARTS) {
    throw new MillraceError('CHECKPOINT_VERSION', {
      what: `manifest format ${format} is none of the formats ${MANIFEST_FORMAT} and ${FORMAT_WITH_PARTS} that this version reads`,
      where,
      todo: 'Restore it with the version of Millrace that wrote it.',
    })
  }
  const fault = manifestFault(stored)
  if (fault !== undefined) throw corruptManifest(where, fault)
  const manifest = stored as Manifest & { operators: readonly StoredOperator[] }
  try {
    return deepFreeze({ ...manifest, format: MANIFEST_FORMAT, operators: manifest.operators.map(operatorFromStored) })
  } catch (cause) {
    throw corruptManifest(where, 'its operator state cannot be decoded', cause)
  }
}

function parseBody(bytes: Uint8Array, where: string): unknown {
  const head = new TextDecoder().decode(bytes.subarray(0, BODY_START))
  if (!head.startsWith(BEFORE_CRC) || !head.endsWith(AFTER_CRC)) throw corruptManifest(where, 'it does not begin as a manifest')
  if (bytes[bytes.length - 1] !== 125) throw corruptManifest(where, 'it is cut off')
  const body = bytes.subarray(BODY_START, bytes.length - 1)
  if (head.slice(BEFORE_CRC.length, BEFORE_CRC.length + 8) !== hex(crc32(body))) throw corruptManifest(where, 'its checksum does not match')
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (cause) {
    throw corruptManifest(where, 'it is not JSON', cause)
  }
}

function hasParts({ subtasks }: OperatorState): boolean {
  return subtasks.some(({ keyed }) => keyed.some(({ inline, keyGroups }) => inline !== undefined || keyGroups !== undefined))
}

type StoredSegment = Omit<SegmentRef, 'inline'> & { readonly inline?: string }

interface StoredSubtask extends Omit<OperatorSubtaskState, 'operatorState' | 'keyed'> {
  readonly keyed: readonly StoredSegment[]
  readonly operatorState: readonly string[]
}

interface StoredOperator extends Omit<OperatorState, 'subtasks' | 'coordinatorState'> {
  readonly subtasks: readonly StoredSubtask[]
  readonly coordinatorState?: string
}

function operatorToStored(operator: OperatorState): StoredOperator {
  const { coordinatorState, ...rest } = operator
  return {
    ...rest,
    subtasks: operator.subtasks.map((subtask) => ({
      ...subtask,
      keyed: subtask.keyed.map(({ inline, ...ref }): StoredSegment => (inline === undefined ? ref : { ...ref, inline: toBase64(inline) })),
      operatorState: subtask.operatorState.map((value, i) => encodeValue(value, operator, `operatorState[${i}] of subtask ${subtask.subtask}`)),
    })),
    ...(coordinatorState === undefined ? {} : { coordinatorState: encodeValue(coordinatorState, operator, 'coordinatorState') }),
  }
}

function operatorFromStored(operator: StoredOperator): OperatorState {
  const { coordinatorState, ...rest } = operator
  return {
    ...rest,
    subtasks: operator.subtasks.map((subtask) => ({
      ...subtask,
      keyed: subtask.keyed.map(({ inline, ...ref }): SegmentRef => (inline === undefined ? ref : { ...ref, inline: fromBase64(inline) })),
      operatorState: subtask.operatorState.map(decodeValue),
    })),
    ...(coordinatorState === undefined ? {} : { coordinatorState: decodeValue(coordinatorState) }),
  }
}

function encodeValue(value: unknown, operator: OperatorState, path: string): string {
  const fault = structuralFault(value, path)
  if (fault !== undefined) throw unserialisable(operator, fault)
  try {
    return toBase64(pack(value))
  } catch (cause) {
    throw unserialisable(operator, `${path} cannot be packed`, cause)
  }
}

function decodeValue(text: string): unknown {
  return unpack(fromBase64(text))
}

function unserialisable(operator: OperatorState, fault: string, cause?: unknown): MillraceError {
  return new MillraceError('STATE_UNSERIALISABLE', {
    what: `operator state cannot be written to a checkpoint: ${fault}`,
    where: `operator "${operator.name}" (uid ${operator.uid})`,
    todo: 'Return plain data from snapshotState: objects, arrays, strings, numbers, bigint, Date, Map, Set, typed arrays.',
    uid: operator.uid,
    cause,
  })
}

/** A manifest that cannot be used, and what to do about it. */
export function corruptManifest(where: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError('CHECKPOINT_CORRUPT', {
    what: `a checkpoint's manifest is damaged: ${why}`,
    where,
    todo: 'Name an older checkpoint to restore from (millrace checkpoints DIR lists them); this one cannot be used.',
    cause,
  })
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0')
}

/** Freezes the manifest's own objects and arrays; state values below are the operators' to keep and change. */
function deepFreeze(manifest: Manifest): Manifest {
  for (const operator of manifest.operators) {
    for (const subtask of operator.subtasks) {
      for (const ref of subtask.keyed) Object.freeze(ref)
      Object.freeze(subtask.keyed)
      Object.freeze(subtask.operatorState)
      Object.freeze(subtask)
    }
    Object.freeze(operator.subtasks)
    Object.freeze(operator)
  }
  Object.freeze(manifest.operators)
  return Object.freeze(manifest)
}
