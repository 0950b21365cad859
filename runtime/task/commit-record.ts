import type { SegmentRef } from '../checkpoint/manifest.js'
import { crc32, MIN_WATERMARK, MillraceError } from '../core/index.js'
import type { BlobStore, LogItem } from '../ports/index.js'
import { pack, unpack } from '../state/index.js'
import type { ChannelState } from './input-channels.js'
import type { WatermarkProgress } from './rising-output.js'

/** Bytes of a commit: in the item itself, or in a blob of its own when they are many. */
export type Part = Uint8Array | PartRef

export interface PartRef {
  readonly name: string
  readonly bytes: number
  readonly crc32: number
}

/** What one version of a subtask's log says. Plain data. */
export interface CommitRecord {
  readonly format: 1
  /** Fingerprint of the plan that the state belongs to. */
  readonly plan: string
  readonly attempt: number
  /** BATCH only if a batch of the stage's stream advanced `position` in this commit; CTL for what a message made it do. */
  readonly kind: 'BATCH' | 'CTL'
  /** Sequence number of the last record of the stage's stream that this and the commits before have taken; decimal, or null. */
  readonly position: string | null
  readonly splitId: string | null
  readonly epoch: number
  /** Processing time of the commit, epoch ms. */
  readonly lastNow: number
  readonly channels: Readonly<Record<string, ChannelState>>
  /** Of the input as a whole. */
  readonly input: WatermarkProgress
  /** seq of the next frame by outgoing channel. */
  readonly nextSeq: Readonly<Record<string, number>>
  /** What the operators that make watermarks have said, by uid. */
  readonly origins: Readonly<Record<string, WatermarkProgress>>
  /** The state before version `version` does not count; what counts are these segments and the deltas from `version` on. */
  readonly base: { readonly version: number; readonly segments: Readonly<Record<string, readonly SegmentRef[]>> }
  /** Segments of keyed state by operator uid: what this commit changed, or everything if it is the base. */
  readonly deltas: readonly (readonly [uid: string, part: Part])[]
  /** Frames that came with this commit and wait (or all that wait, if it is the base). */
  readonly stash: Part | null
  readonly outbox: Part | null
}

/** Before anything was committed. */
export const NOTHING: Pick<CommitRecord, 'position' | 'splitId' | 'epoch' | 'lastNow' | 'channels' | 'input' | 'nextSeq' | 'origins' | 'base'> = {
  position: null,
  splitId: null,
  epoch: 0,
  lastNow: Number.NEGATIVE_INFINITY,
  channels: {},
  input: { watermark: MIN_WATERMARK, idle: false },
  nextSeq: {},
  origins: {},
  base: { version: 1, segments: {} },
}

export function encodeCommit(record: CommitRecord): Uint8Array {
  return pack(record)
}

/** Throws LOG_CORRUPT. */
export function decodeCommit(log: string, item: LogItem): CommitRecord {
  let record: Partial<CommitRecord> | undefined
  let cause: unknown
  try {
    record = unpack(item.payload) as Partial<CommitRecord>
  } catch (thrown) {
    cause = thrown
  }
  if (record?.format === 1) return record as CommitRecord
  throw corruptLog(log, item.version, cause === undefined ? 'it is not of format 1' : 'it cannot be decoded', cause)
}

/** Above this many bytes a blob is cheaper than the log. */
const INLINE_BYTES = 8 * 1024

/** Stores `bytes` aside if they are many. The name has a nonce: two writers of one version never touch each other's parts. */
export async function storePart(blobs: BlobStore, log: string, version: number, bytes: Uint8Array, nonce: () => string): Promise<Part> {
  if (bytes.length <= INLINE_BYTES) return bytes
  for (;;) {
    const name = `${log}/${version}-${nonce()}`
    if ((await blobs.put(name, bytes)) === 'stored') return { name, bytes: bytes.length, crc32: crc32(bytes) }
  }
}

/** Throws LOG_CORRUPT when the blob is missing or not what was written. */
export async function loadPart(blobs: BlobStore, log: string, version: number, part: Part): Promise<Uint8Array> {
  if (part instanceof Uint8Array) return part
  const bytes = await blobs.get(part.name)
  if (bytes !== undefined && bytes.length === part.bytes && crc32(bytes) === part.crc32) return bytes
  throw corruptLog(log, version, `its part ${part.name} is ${bytes === undefined ? 'missing' : 'damaged'}`)
}

export function corruptLog(log: string, version: number, why: string, cause?: unknown): MillraceError {
  return new MillraceError('LOG_CORRUPT', {
    what: `a commit cannot be read: ${why}`,
    where: `log ${log}, version ${version}`,
    todo: 'Nothing but this job may write to its table and bucket. Restore the job from its last checkpoint.',
    cause,
  })
}
