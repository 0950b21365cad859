import type { OperatorSubtaskState, SegmentRef } from '../checkpoint/manifest.js'
import { pack, unpack } from '../state/index.js'

/** A subtask's whole state as of one version of its log. Plain data. */
export interface BaseState {
  /** By operator: segments, the oldest first. */
  readonly keyed: ReadonlyMap<string, readonly SegmentRef[]>
  /** By operator: elements. */
  readonly operatorStates: ReadonlyMap<string, readonly unknown[]>
}

export const EMPTY_BASE: BaseState = { keyed: new Map(), operatorStates: new Map() }

/** By position, as a log charges by the kilobyte. */
type PackedRef = readonly [name: string, bytes: number, crc32: number, keyGroups?: readonly [first: number, last: number] | null, inline?: Uint8Array]
type PackedBase = readonly [keyed: readonly (readonly [string, readonly PackedRef[]])[], states: readonly (readonly [string, readonly unknown[]])[]]

export function encodeBase({ keyed, operatorStates }: BaseState): Uint8Array {
  const packed: PackedBase = [[...keyed].map(([uid, refs]) => [uid, refs.map(packedRef)]), [...operatorStates]]
  return pack(packed)
}

export function decodeBase(bytes: Uint8Array): BaseState {
  const [keyed, states] = unpack(bytes) as PackedBase
  return { keyed: new Map(keyed.map(([uid, refs]) => [uid, refs.map(unpackedRef)])), operatorStates: new Map(states) }
}

function packedRef({ name, bytes, crc32, keyGroups, inline }: SegmentRef): PackedRef {
  const groups = keyGroups === undefined ? null : ([keyGroups.first, keyGroups.last] as const)
  if (inline !== undefined) return [name, bytes, crc32, groups, inline]
  return groups === null ? [name, bytes, crc32] : [name, bytes, crc32, groups]
}

function unpackedRef([name, bytes, crc32, groups = null, inline]: PackedRef): SegmentRef {
  return {
    name,
    bytes,
    crc32,
    ...(groups === null ? {} : { keyGroups: { first: groups[0], last: groups[1] } }),
    ...(inline === undefined ? {} : { inline }),
  }
}

/** As an acknowledgement says it. */
export function operatorsOf({ keyed, operatorStates }: BaseState, subtask: number): readonly (OperatorSubtaskState & { readonly uid: string })[] {
  const uids = new Set([...keyed.keys(), ...operatorStates.keys()])
  return [...uids].map((uid) => ({ uid, subtask, keyed: keyed.get(uid) ?? [], operatorState: operatorStates.get(uid) ?? [] }))
}

/** Of all segments of keyed state. */
export function keyedBytes({ keyed }: BaseState): number {
  let bytes = 0
  for (const refs of keyed.values()) for (const ref of refs) bytes += ref.bytes
  return bytes
}
