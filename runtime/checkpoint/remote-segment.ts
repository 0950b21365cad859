import { decodeFooter, footerLength, type RemoteSegment } from '../state/index.js'
import { placeOf } from './checkpoint-names.js'
import type { CheckpointStore } from './checkpoint-store.js'
import type { SegmentRef } from './manifest.js'
import { unreadableSegment } from './segment-blobs.js'

/** The end of a segment that is read first; most footers are shorter. */
const END_BYTES = 16 * 1024

/**
 * Opens a segment to read parts of it: one call, and for a segment of up to `smallBytes` no further ones. Undefined when its format has no blocks, so
 * that it can be read only as a whole. Throws CHECKPOINT_CORRUPT.
 */
export async function openRemoteSegment(store: CheckpointStore, ref: SegmentRef, smallBytes: number): Promise<RemoteSegment | undefined> {
  const { name, keyGroups = { first: 0, last: Number.MAX_SAFE_INTEGER } } = ref
  const where = placeOf(store.root, name)
  if (ref.inline !== undefined || ref.bytes <= smallBytes) {
    const bytes = await store.readSegment(ref)
    if (footerLength(bytes) === undefined) return undefined
    return { name: where, footer: decodeFooter(bytes, where), keyGroups, read: async ({ from, to }) => bytes.subarray(from, to) }
  }
  const read: RemoteSegment['read'] = async (range) => {
    const bytes = await store.blobs.getRange(name, range)
    if (bytes?.length !== range.to - range.from)
      throw unreadableSegment(where, bytes === undefined ? 'is missing' : 'has fewer bytes than it was written with')
    return bytes
  }
  const lastBytes = (length: number) => read({ from: Math.max(0, ref.bytes - length), to: ref.bytes })
  const end = await lastBytes(END_BYTES)
  const length = footerLength(end)
  if (length === undefined) return undefined
  return { name: where, footer: decodeFooter(length <= end.length ? end : await lastBytes(length), where), keyGroups, read }
}
