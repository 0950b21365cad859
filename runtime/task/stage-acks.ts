import type { StageAck } from '../checkpoint/stage-ack.js'
import type { LogItem } from '../ports/index.js'
import { pack, unpack } from '../state/index.js'
import { loadPart, type Part, type PartPlace, storePart } from './commit-record.js'
import type { StagePorts } from './stage-ports.js'

/** Where ends stand in the folder of checkpoints that are too large for the log: `ended/<attempt>/<ordinal>-<nonce>`. */
export const ENDED = 'ended/'

/** The place of an end's parts. It counts as long as the attempt lasts, and parts of logs do not. */
export function endedPlace(ports: Pick<StagePorts, 'checkpoints' | 'nonce'>, attempt: number, ordinal: number, inlineBytes: number): PartPlace {
  return { blobs: ports.checkpoints.blobs, log: `${ENDED}${attempt}`, version: ordinal, inlineBytes, nonce: () => ports.nonce() }
}

/** An acknowledgement as an item of a log holds it: operator state may be larger than an item can be. */
export async function storeAck(place: PartPlace, ack: StageAck): Promise<Uint8Array> {
  return pack([await storePart(place, pack(ack))])
}

/** Where the acknowledgement stands. */
export function partOfAck({ payload }: LogItem): Part {
  return (unpack(payload) as [Part])[0]
}

/** Throws LOG_CORRUPT when the blob is missing or not what was written. */
export async function loadAck(place: Pick<PartPlace, 'blobs' | 'log'>, item: LogItem): Promise<StageAck> {
  return unpack(await loadPart(place.blobs, place.log, item.version, partOfAck(item))) as StageAck
}
