import { type Manifest, type SegmentRef, segmentBlobsOf } from './manifest.js'
import type { StageAck } from './stage-ack.js'

/** Names of the blobs of a checkpoint folder that a log's base, an acknowledgement or a manifest is made of. Clean-up deletes what none of them names. */
export const referredBlobs = {
  ofBase: ({ keyed }: { readonly keyed: ReadonlyMap<string, readonly SegmentRef[]> }): string[] => [...keyed.values()].flatMap(namesOf),
  ofAck: ({ operators }: StageAck): string[] => operators.flatMap(({ keyed }) => namesOf(keyed)),
  ofManifest: (manifest: Manifest): string[] => namesOf(segmentBlobsOf(manifest)),
}

function namesOf(segments: readonly SegmentRef[]): string[] {
  return segments.flatMap(({ name, inline }) => (inline === undefined ? [name] : []))
}
