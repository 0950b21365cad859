import type { StageAck } from '../checkpoint/stage-ack.js'
import type { LogItem } from '../ports/index.js'
import { pack, unpack } from '../state/index.js'
import { loadPart, type Part, type PartPlace, storePart } from './commit-record.js'

/** An acknowledgement as an item of a log holds it: operator state may be larger than an item can be. */
export async function storeAck(place: PartPlace, ack: StageAck): Promise<Uint8Array> {
  return pack([await storePart(place, pack(ack))])
}

/** Throws LOG_CORRUPT when the blob is missing or not what was written. */
export async function loadAck(place: Pick<PartPlace, 'blobs' | 'log'>, { version, payload }: LogItem): Promise<StageAck> {
  const [part] = unpack(payload) as [Part]
  return unpack(await loadPart(place.blobs, place.log, version, part)) as StageAck
}
