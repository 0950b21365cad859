import type { OperatorSubtaskState } from '../checkpoint/manifest.js'
import { MillraceError } from '../core/index.js'
import type { Channel, ChannelEntry } from '../ports/index.js'
import { pack, structuralFault, unpack } from '../state/index.js'
import type { SinkBatch } from './outbox-sink-operator.js'

/** What a subtask says of its part of a checkpoint. */
export interface StageAck {
  readonly checkpointId: number
  readonly operators: readonly (OperatorSubtaskState & { readonly uid: string })[]
}

/** What a commit sends once it is won; a redelivered batch sends it again. */
export interface Outbox {
  /** In the order of each channel's seq. */
  readonly frames: readonly { readonly stage: string; readonly to: number; readonly bytes: Uint8Array }[]
  /** By uid of the sink. */
  readonly sinks: readonly (readonly [uid: string, batch: SinkBatch])[]
  /** Last of all: who reads it may rely on the rest having been sent. */
  readonly ack: StageAck | null
}

export function isEmpty({ frames, sinks, ack }: Outbox): boolean {
  return frames.length === 0 && sinks.length === 0 && ack === null
}

/** Throws RECORD_UNSERIALISABLE when a record for a sink would not come back as it is. */
export function encodeOutbox(outbox: Outbox): Uint8Array {
  for (const [uid, { values }] of outbox.sinks) {
    for (const value of values) {
      const fault = structuralFault(value, 'the record')
      if (fault === undefined) continue
      throw new MillraceError('RECORD_UNSERIALISABLE', {
        what: `a record for a sink must be committed first and cannot: ${fault}`,
        todo: 'Send plain data to sinks (map class instances to plain objects before).',
        uid,
      })
    }
  }
  return pack(outbox)
}

export function decodeOutbox(bytes: Uint8Array): Outbox {
  return unpack(bytes) as Outbox
}

export interface Recipients {
  channel(stage: string): Channel
  sink(uid: string, batch: SinkBatch): Promise<void>
  acknowledge(ack: StageAck): Promise<void>
  pause(ms: number): Promise<void>
}

/** Sends everything; resolves only when all of it has arrived. Throws AWS_CALL when entries of a stream fail again and again. */
export async function deliver(outbox: Outbox, recipients: Recipients): Promise<void> {
  const byStage = new Map<string, ChannelEntry[]>()
  for (const { stage, to, bytes } of outbox.frames) {
    const entries = byStage.get(stage)
    if (entries === undefined) byStage.set(stage, [{ to, bytes }])
    else entries.push({ to, bytes })
  }
  await Promise.all([...byStage].map(([stage, entries]) => sendAll(stage, entries, recipients)))
  for (const [uid, batch] of outbox.sinks) await recipients.sink(uid, batch)
  if (outbox.ack !== null) await recipients.acknowledge(outbox.ack)
}

const TRIES = 6
const FIRST_PAUSE_MS = 50

/** A channel sends in order, and gives back what failed in order: the next try goes on where the last one stopped. */
async function sendAll(stage: string, entries: readonly ChannelEntry[], recipients: Recipients): Promise<void> {
  const channel = recipients.channel(stage)
  let left = await channel.send(entries)
  for (let attempt = 1; left.length > 0; attempt++) {
    if (attempt === TRIES) {
      throw new MillraceError('AWS_CALL', {
        what: `${left.length} of ${entries.length} frames could not be sent in ${TRIES} tries`,
        where: `the stream of stage "${stage}"`,
        todo: 'The batch is delivered again and sends them again. If this goes on, the stream has too few shards.',
      })
    }
    await recipients.pause(FIRST_PAUSE_MS * 2 ** (attempt - 1))
    left = await channel.send(left)
  }
}
