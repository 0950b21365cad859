import type { KeyGroupRange } from '../state/index.js'

/** One immutable segment of keyed state, as a manifest names it. */
export interface SegmentRef {
  /** Blob name relative to the root of the store; what an inline segment is called in messages. */
  readonly name: string
  readonly bytes: number
  readonly rows?: number
  /** CRC-32 of the whole segment. */
  readonly crc32: number
  /** The only key groups of it that count; absent: all that the subtask owned. */
  readonly keyGroups?: KeyGroupRange
  /** The segment itself, when it is too small for a blob of its own. */
  readonly inline?: Uint8Array
}

/** What one subtask of one operator acknowledged. */
export interface OperatorSubtaskState {
  readonly subtask: number
  /** The oldest first: each says what changed since those before it. */
  readonly keyed: readonly SegmentRef[]
  /** Plain data; whatever the structural serialisation holds (bigint, Map, Date …). */
  readonly operatorState: readonly unknown[]
  /** The subtask had processed all its input; absent otherwise. */
  readonly ended?: true
}

export interface OperatorState {
  readonly uid: string
  readonly name: string
  readonly parallelism: number
  readonly maxParallelism: number
  readonly subtasks: readonly OperatorSubtaskState[]
  /** A source's enumerator; plain data. Absent when the operator has none. */
  readonly coordinatorState?: unknown
}

/** What a completed checkpoint consists of. Plain data, frozen when it was decoded. */
export interface Manifest {
  readonly format: 1
  readonly job: string
  readonly checkpointId: number
  readonly kind: 'checkpoint' | 'savepoint'
  readonly createdAtMs: number
  /** 0 for the job's first run, one more after each restart. */
  readonly attempt: number
  readonly operators: readonly OperatorState[]
}

/** The format that this version writes and reads. */
export const MANIFEST_FORMAT = 1

/** Every segment that a manifest names or holds, each once. */
export function segmentsOf(manifest: Manifest): SegmentRef[] {
  const byName = new Map<string, SegmentRef>()
  for (const operator of manifest.operators) {
    for (const subtask of operator.subtasks) for (const ref of subtask.keyed) byName.set(ref.name, ref)
  }
  return [...byName.values()]
}

/** Those of them that are blobs. */
export function segmentBlobsOf(manifest: Manifest): SegmentRef[] {
  return segmentsOf(manifest).filter(({ inline }) => inline === undefined)
}
