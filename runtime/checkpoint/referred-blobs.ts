import { type Manifest, type SegmentRef, segmentsOf } from './manifest.js'
import type { KeyedShare } from './restore-plan.js'
import type { StageAck } from './stage-ack.js'

/** Names of the blobs of a checkpoint folder that a log's base, an acknowledgement or a manifest is made of. Clean-up deletes what none of them names. */
export const referredBlobs = {
  ofBase: ({ keyed }: { readonly keyed: Readonly<Record<string, readonly KeyedShare[]>> }): string[] =>
    Object.values(keyed).flatMap((shares) => shares.flatMap(({ segments }) => namesOf(segments))),
  ofAck: ({ operators }: StageAck): string[] => operators.flatMap(({ keyed }) => namesOf(keyed)),
  ofManifest: (manifest: Manifest): string[] => namesOf(segmentsOf(manifest)),
}

function namesOf(segments: readonly SegmentRef[]): string[] {
  return segments.map(({ name }) => name)
}
