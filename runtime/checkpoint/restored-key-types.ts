import { type KeyType, keyTypeOf } from '../core/index.js'
import type { KeyTypesByUid } from '../plan/index.js'
import { fromInternalKey } from '../state/index.js'
import { readKeyedState } from './keyed-restore.js'
import type { Manifest, OperatorState, SegmentRef } from './manifest.js'

/** Of each operator so many segments are looked into at most, the smallest first, */
const SEGMENTS = 8
/** as long as they have no more bytes together. One is always looked into. */
const BYTES = 4 * 1024 * 1024
/** More keys of a segment say nothing new. */
const KEYS = 10_000

/**
 * Of which types the keys are that a checkpoint holds state of, by operator uid; an operator of whose keys nothing was found is not in it. It is a sample: a type that few
 * of an operator's keys have may be missing. Throws CHECKPOINT_CORRUPT, CHECKPOINT_VERSION.
 */
export async function restoredKeyTypes(
  manifest: Pick<Manifest, 'operators'>,
  uids: readonly string[],
  readSegment: (ref: SegmentRef) => Promise<Uint8Array>,
): Promise<KeyTypesByUid> {
  const found: Record<string, readonly KeyType[]> = {}
  for (const operator of manifest.operators) {
    const types = uids.includes(operator.uid) ? await typesIn(operator, readSegment) : []
    if (types.length > 0) found[operator.uid] = types
  }
  return found
}

async function typesIn({ subtasks, maxParallelism }: OperatorState, readSegment: (ref: SegmentRef) => Promise<Uint8Array>): Promise<KeyType[]> {
  const types = new Set<KeyType>()
  const refs = subtasks.flatMap(({ keyed }) => keyed).sort((a, b) => a.bytes - b.bytes)
  let [bytes, read] = [0, 0]
  for (const ref of refs) {
    if (types.size > 0 && (read === SEGMENTS || bytes + ref.bytes > BYTES)) break
    read++
    bytes += ref.bytes
    const [segment] = await readKeyedState([ref], readSegment)
    let keys = 0
    for (const { block } of segment.blocks(0, maxParallelism - 1)) {
      for (const key of block.keys) types.add(keyTypeOf(fromInternalKey(key as string)) as KeyType)
      keys += block.keys.length
      if (keys > KEYS) break
    }
  }
  return [...types].sort()
}
