import { type DecodedSegment, decodeSegment } from '../state/index.js'
import type { SegmentRef } from './manifest.js'
import type { KeyedShare } from './restore-plan.js'

/**
 * Reads the segments of a subtask's shares, in the order in which `KeyedStateBackend.restore` wants them; each shows only
 * the key groups of its share. Throws CHECKPOINT_CORRUPT, CHECKPOINT_VERSION.
 */
export async function readKeyedState(
  shares: readonly KeyedShare[],
  readSegment: (ref: SegmentRef) => Promise<Uint8Array>,
): Promise<DecodedSegment[]> {
  const segments: DecodedSegment[] = []
  for (const share of shares) {
    for (const ref of share.segments) segments.push(restricted(decodeSegment(await readSegment(ref), ref.name), share))
  }
  return segments
}

function restricted(segment: DecodedSegment, { keyGroups }: KeyedShare): DecodedSegment {
  return {
    header: segment.header,
    blocks: (first, last) => segment.blocks(Math.max(first, keyGroups.first), Math.min(last, keyGroups.last)),
  }
}
