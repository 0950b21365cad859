import { type DecodedSegment, decodeSegment, type KeyGroupRange } from '../state/index.js'
import type { SegmentRef } from './manifest.js'

/**
 * Reads a subtask's segments, in the order in which `KeyedStateBackend.restore` wants them; each shows only the key groups that count.
 * Throws CHECKPOINT_CORRUPT, CHECKPOINT_VERSION.
 */
export async function readKeyedState(refs: readonly SegmentRef[], readSegment: (ref: SegmentRef) => Promise<Uint8Array>): Promise<DecodedSegment[]> {
  const segments: DecodedSegment[] = []
  for (const ref of refs) segments.push(restricted(decodeSegment(await readSegment(ref), ref.name), ref.keyGroups))
  return segments
}

/** Shows only the key groups that count. */
export function restricted(segment: DecodedSegment, keyGroups: KeyGroupRange | undefined): DecodedSegment {
  if (keyGroups === undefined) return segment
  return {
    ...segment,
    blocks: (first, last) => segment.blocks(Math.max(first, keyGroups.first), Math.min(last, keyGroups.last)),
  }
}
