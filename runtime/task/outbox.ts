import { MillraceError, type SinkMarker } from '../core/index.js'
import type { SinkBatch } from '../operators/sink-batch.js'
import type { Channel, ChannelEntry } from '../ports/index.js'
import { pack, structuralFault, unpack } from '../state/index.js'
import { type PackedColumns, packColumns, unpackColumns } from '../state/packed-columns.js'
import { packNumbers, unpackNumbers } from '../state/packed-numbers.js'
import type { AckHead } from './stage-acks.js'
import type { DeadLetter } from './stage-ports.js'

/** What a commit sends once it is won; a redelivered batch sends it again. */
export interface Outbox {
  /** In the order of each channel's seq. */
  readonly frames: readonly OutgoingFrame[]
  readonly sinks: readonly SinkEntry[]
  readonly letters: readonly DeadLetter[]
  /** When the subtask is to be poked, epoch ms. */
  readonly wakeAt: number | null
  /** Last of all: who reads it may rely on the rest having been sent. */
  readonly ack: AckHead | null
}

export interface OutgoingFrame {
  readonly stage: string
  readonly to: number
  readonly bytes: Uint8Array
}

export interface SinkEntry {
  /** Of the sink. */
  readonly uid: string
  readonly marker: SinkMarker
  readonly batch: SinkBatch
}

export function isEmpty({ frames, sinks, letters, wakeAt, ack }: Outbox): boolean {
  return frames.length === 0 && sinks.length === 0 && letters.length === 0 && wakeAt === null && ack === null
}

/** Throws RECORD_UNSERIALISABLE when a record for a sink would not come back as it is. */
export function encodeOutbox(outbox: Outbox): Uint8Array {
  for (const { uid, batch } of outbox.sinks) {
    for (const value of batch.values) {
      const fault = structuralFault(value, 'the record')
      if (fault === undefined) continue
      throw new MillraceError('RECORD_UNSERIALISABLE', {
        what: `a record for a sink must be committed first and cannot: ${fault}`,
        todo: 'Send plain data to sinks (map class instances to plain objects before).',
        uid,
      })
    }
  }
  const { frames, sinks, letters, wakeAt, ack } = outbox
  const packed: PackedOutbox = [
    frames.map(({ stage, to, bytes }) => [stage, to, bytes]),
    sinks.map(({ uid, marker, batch }) => [uid, marker.writer, marker.attempt, marker.version, ...packedBatch(batch)]),
    letters,
    wakeAt,
    ack,
  ]
  return pack(packed)
}

/** By position: names would be most of the bytes of a small outbox. */
type PackedOutbox = readonly [
  frames: readonly (readonly [stage: string, to: number, bytes: Uint8Array])[],
  sinks: readonly (readonly [uid: string, writer: string, attempt: number, version: number, ...PackedBatch])[],
  letters: readonly DeadLetter[],
  wakeAt: number | null,
  ack: AckHead | null,
]

export function decodeOutbox(bytes: Uint8Array): Outbox {
  const [frames, sinks, letters, wakeAt, ack] = unpack(bytes) as PackedOutbox
  return {
    frames: frames.map(([stage, to, frame]) => ({ stage, to, bytes: frame })),
    sinks: sinks.map(([uid, writer, attempt, version, ...batch]) => ({ uid, marker: { writer, attempt, version }, batch: unpackedBatch(batch) })),
    letters,
    wakeAt,
    ack,
  }
}

/** Records by columns where they have one shape, else as they are. */
type PackedBatch = readonly [
  values: PackedColumns | { readonly rows: readonly unknown[] },
  timestamps: Uint8Array,
  watermarks: Uint8Array,
  size: number,
]

function packedBatch({ values, timestamps, watermarks }: SinkBatch): PackedBatch {
  const size = values.length
  return [packColumns(values, size) ?? { rows: values }, packNumbers(timestamps, size), packNumbers(watermarks, size), size]
}

function unpackedBatch([values, timestamps, watermarks, size]: PackedBatch): SinkBatch {
  return {
    values: 'rows' in values ? values.rows : unpackColumns(values, size),
    timestamps: unpackNumbers(timestamps, size),
    watermarks: unpackNumbers(watermarks, size),
  }
}

export interface Recipients {
  channel(stage: string): Channel
  sink(entry: SinkEntry): Promise<void>
  deadLetter(index: number, letter: DeadLetter): Promise<void>
  wakeUp(atMs: number): Promise<void>
  acknowledge(ack: AckHead): Promise<void>
  pause(ms: number): Promise<void>
  /** Uniform in [0, 1). */
  random(): number
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
  for (const entry of outbox.sinks) await recipients.sink(entry)
  for (const [index, letter] of outbox.letters.entries()) await recipients.deadLetter(index, letter)
  if (outbox.wakeAt !== null) await recipients.wakeUp(outbox.wakeAt)
  if (outbox.ack !== null) await recipients.acknowledge(outbox.ack)
}

const TRIES = 8
const FIRST_PAUSE_MS = 50
/** A shard that is full takes 1 MB a second. */
const LONGEST_PAUSE_MS = 1_000

/**
 * A channel sends in order, and gives back what failed in order: the next try goes on where the last one stopped. As long as anything arrives it goes
 * on: were it to give up, the batch would come again and send the same from its beginning, into shards that are full already.
 */
async function sendAll(stage: string, entries: readonly ChannelEntry[], recipients: Recipients): Promise<void> {
  const channel = recipients.channel(stage)
  let left = entries
  for (let refused = 0; ; ) {
    const before = left.length
    left = await channel.send(left)
    if (left.length === 0) return
    refused = left.length < before ? 0 : refused + 1
    if (refused === TRIES) {
      throw new MillraceError('AWS_CALL', {
        what: `${left.length} of ${entries.length} frames could not be sent, none of them in the last ${TRIES} tries`,
        where: `the stream of stage "${stage}"`,
        todo: 'The batch is delivered again and sends them again. If this goes on, the stream has too few shards.',
      })
    }
    // By chance, so that senders that a full shard has refused together do not come back together.
    await recipients.pause(Math.min(FIRST_PAUSE_MS * 2 ** Math.max(0, refused - 1), LONGEST_PAUSE_MS) * (0.5 + recipients.random()))
  }
}
