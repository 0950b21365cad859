import { MillraceError } from '../core/index.js'
import { manifestName, placeOf, SAVEPOINT_MANIFEST } from './checkpoint-names.js'
import type { CheckpointStore } from './checkpoint-store.js'
import { type Manifest, type OperatorState, type SegmentRef, segmentsOf } from './manifest.js'

/** One checkpoint or savepoint, as a user who chooses among them wants to see it. */
export interface CheckpointSummary {
  /** undefined for a savepoint whose manifest cannot be read. */
  readonly id: number | undefined
  readonly kind: 'checkpoint' | 'savepoint'
  /** The manifest's place. */
  readonly path: string
  /** Epoch milliseconds; undefined when the manifest cannot be read. */
  readonly createdAtMs: number | undefined
  readonly job: string | undefined
  readonly status: 'valid' | 'damaged'
  /** What is wrong and where, when damaged. */
  readonly reason: string | undefined
  readonly segments: number
  /** Of all segments; those shared with other checkpoints are counted in each. */
  readonly bytes: number
  readonly operators: readonly OperatorSummary[]
}

export interface OperatorSummary {
  readonly uid: string
  readonly name: string
  readonly parallelism: number
  readonly maxParallelism: number
  /** Keyed state, bytes. */
  readonly bytes: number
}

/** `verified` remembers faults of segments by name, so that shared ones are read once. */
export async function summarise(
  store: CheckpointStore,
  which: number | 'savepoint',
  verified: Map<string, string | undefined>,
): Promise<CheckpointSummary> {
  const path = placeOf(store.root, which === 'savepoint' ? SAVEPOINT_MANIFEST : manifestName(which))
  const kind = which === 'savepoint' ? 'savepoint' : 'checkpoint'
  let manifest: Manifest
  try {
    manifest = await store.load(which)
  } catch (error) {
    const unread = { createdAtMs: undefined, job: undefined, segments: 0, bytes: 0, operators: [] }
    return { id: which === 'savepoint' ? undefined : which, kind, path, status: 'damaged', reason: reasonOf(error), ...unread }
  }
  const segments = segmentsOf(manifest)
  const reason = await firstFault(store, segments, verified)
  return {
    id: manifest.checkpointId,
    kind: manifest.kind,
    path,
    createdAtMs: manifest.createdAtMs,
    job: manifest.job,
    status: reason === undefined ? 'valid' : 'damaged',
    reason,
    segments: segments.length,
    bytes: bytesOf(segments),
    operators: manifest.operators.map(summariseOperator),
  }
}

function summariseOperator(operator: OperatorState): OperatorSummary {
  const { uid, name, parallelism, maxParallelism } = operator
  return { uid, name, parallelism, maxParallelism, bytes: bytesOf(operator.subtasks.flatMap((subtask) => subtask.keyed)) }
}

async function firstFault(
  store: CheckpointStore,
  segments: readonly SegmentRef[],
  verified: Map<string, string | undefined>,
): Promise<string | undefined> {
  for (const ref of segments) {
    // The same name with another length or checksum is another claim about the file.
    const claim = `${ref.name} ${ref.bytes} ${ref.crc32}`
    if (!verified.has(claim)) verified.set(claim, await faultOf(store, ref))
    const fault = verified.get(claim)
    if (fault !== undefined) return fault
  }
  return undefined
}

async function faultOf(store: CheckpointStore, ref: SegmentRef): Promise<string | undefined> {
  try {
    await store.readSegment(ref)
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}

/** Only what says that the checkpoint cannot be used is a finding; a disk that cannot be read at all is an error of the listing. */
function reasonOf(error: unknown): string {
  if (!(error instanceof MillraceError) || !error.code.startsWith('CHECKPOINT_')) throw error
  return `${error.detail.what} (${error.detail.where})`
}

function bytesOf(segments: readonly SegmentRef[]): number {
  return segments.reduce((sum, ref) => sum + ref.bytes, 0)
}
