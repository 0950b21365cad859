import { crc32, MillraceError } from '../core/index.js'
import type { BlobStore } from '../ports/index.js'
import { placeOf, segmentName } from './checkpoint-names.js'
import type { SegmentRef } from './manifest.js'

/** Whose state a segment holds, and for which checkpoint. */
export interface SegmentOwner {
  readonly uid: string
  readonly subtask: number
  readonly checkpointId: number
}

const TRIES = 5

/**
 * Stores a segment under a name of its own. `newNonce` returns a random text of letters and digits.
 * Throws CHECKPOINT_FAILED when no free name is found, and what the store throws.
 */
export async function writeSegment(blobs: BlobStore, owner: SegmentOwner, bytes: Uint8Array, newNonce: () => string): Promise<SegmentRef> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const name = segmentName(owner.uid, owner.subtask, owner.checkpointId, newNonce())
    if ((await blobs.put(name, bytes)) === 'stored') return { name, bytes: bytes.length, crc32: crc32(bytes) }
  }
  throw new MillraceError('CHECKPOINT_FAILED', {
    what: `checkpoint ${owner.checkpointId} found no free name for a segment in ${TRIES} tries`,
    uid: owner.uid,
    todo: 'Give each job a checkpoint folder of its own.',
  })
}

/** A segment that stands with what names it instead of in a blob. */
export function inlineSegment(bytes: Uint8Array): SegmentRef {
  const crc = crc32(bytes)
  return { name: `(inline ${bytes.length}-${crc.toString(16)})`, bytes: bytes.length, crc32: crc, inline: bytes }
}

/** The segment's bytes. Throws CHECKPOINT_CORRUPT when it is missing or not what was written; `root` is for the message. */
export async function readSegment(blobs: BlobStore, ref: SegmentRef, root = ''): Promise<Uint8Array> {
  const bytes = ref.inline ?? (await blobs.get(ref.name))
  const fault = segmentFault(ref, bytes)
  if (fault === undefined) return bytes as Uint8Array
  throw unreadableSegment(placeOf(root, ref.name), fault)
}

export function unreadableSegment(where: string, why: string): MillraceError {
  return new MillraceError('CHECKPOINT_CORRUPT', {
    what: `a state segment ${why}`,
    where,
    todo: 'Name an older checkpoint to restore from (millrace checkpoints DIR lists them); this one cannot be used.',
  })
}

/** Why `bytes` are not the segment that `ref` names, or undefined when they are. */
export function segmentFault(ref: SegmentRef, bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return 'is missing'
  if (bytes.length !== ref.bytes) return `is damaged: it has ${bytes.length} bytes instead of ${ref.bytes}`
  return crc32(bytes) === ref.crc32 ? undefined : 'is damaged: its checksum does not match'
}
