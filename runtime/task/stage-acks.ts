import type { StageAck } from '../checkpoint/stage-ack.js'
import type { LogItem } from '../ports/index.js'
import { pack, unpack } from '../state/index.js'
import { decodeBase, operatorsOf } from './base-state.js'
import { loadPart, type Part, type PartPlace, storePart } from './commit-record.js'
import type { StagePorts } from './stage-ports.js'

/** Where ends stand in the folder of checkpoints that are too large for the log: `ended/<attempt>/<ordinal>-<nonce>`. */
export const ENDED = 'ended/'

/** The place of an end's parts. It counts as long as the attempt lasts, and parts of logs do not. */
export function endedPlace(ports: Pick<StagePorts, 'checkpoints' | 'nonce'>, attempt: number, ordinal: number, inlineBytes: number): PartPlace {
  return { blobs: ports.checkpoints.blobs, log: `${ENDED}${attempt}`, version: ordinal, inlineBytes, nonce: () => ports.nonce() }
}

/** An acknowledgement without the state, which stands in the base of the same commit. */
export type AckHead = Omit<StageAck, 'operators'>

/** An acknowledgement as an item of a log holds it. `state` is that of the base: where it is a blob, both name the same one. */
export async function storeAck(place: PartPlace, ack: AckHead, state: Part | null): Promise<Uint8Array> {
  return pack([await storePart(place, pack(ack)), state])
}

/** Where the acknowledgement and its state stand. */
export function partsOfAck({ payload }: LogItem): readonly Part[] {
  return (unpack(payload) as [Part, Part | null]).filter((part) => part !== null)
}

/** Throws LOG_CORRUPT when the blob is missing or not what was written. */
export async function loadAck({ blobs, log }: Pick<PartPlace, 'blobs' | 'log'>, { version, payload }: LogItem): Promise<StageAck> {
  const [part, state] = unpack(payload) as [Part, Part | null]
  const ack = unpack(await loadPart(blobs, log, version, part)) as AckHead
  return { ...ack, operators: state === null ? [] : operatorsOf(decodeBase(await loadPart(blobs, log, version, state)), ack.index) }
}
