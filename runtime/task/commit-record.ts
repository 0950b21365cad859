import { crc32, MillraceError } from '../core/index.js'
import type { BlobStore, LogItem, Successor } from '../ports/index.js'
import { packChecked, unpackChecked } from '../state/index.js'
import type { ChannelState } from './input-channels.js'
import { type Outlook, type PackedOutlook, packedOutlook, unpackedOutlook } from './outlook.js'
import type { WatermarkProgress } from './rising-output.js'
import type { StagePorts } from './stage-ports.js'

/** Bytes of a commit: in the item itself, or in the commit's blob when they are many. */
export type Part = Uint8Array | PartRef

export interface PartRef {
  readonly name: string
  /** Where it begins in the blob, which it may share with others of its commit. */
  readonly from: number
  readonly bytes: number
  readonly crc32: number
}

/** What one version of a subtask's log says. Plain data. Whatever a format is, it is packed as an array that begins with format, plan and attempt (`job-fence.ts`). */
export interface CommitRecord {
  readonly format: 3
  /** Fingerprint of the plan that the state belongs to. */
  readonly plan: string
  readonly attempt: number
  /**
   * BATCH only if a batch of the stage's stream advanced `position` in this commit; CTL for what a message made it do; RESET for what a restore
   * (or the first activation, or the start of a source's split) put there.
   */
  readonly kind: 'BATCH' | 'CTL' | 'RESET'
  /** `stopped`: at the barrier of `epoch`. `ended`: all input is processed. `retired`: another revision has taken over. */
  readonly life: 'running' | 'stopped' | 'ended' | 'retired'
  /** Sequence number of the last record of the stage's stream that this and the commits before have taken; decimal, or null. */
  readonly position: string | null
  readonly epoch: number
  /** Processing time of the commit, epoch ms. -Infinity before the first. */
  readonly lastNow: number
  /** Tells the subtasks of a stage apart: the index, or the ordinal of a source's split. */
  readonly index: number
  /** By edge and sender ({@link inputName}). */
  readonly channels: Readonly<Record<string, ChannelState>>
  /** Of each input of the head operator as a whole. Empty for a source. */
  readonly inputs: readonly WatermarkProgress[]
  /** The timers of the input's watermark are still firing, and those behind the head (and {@link head}) have been told what the inputs were before. */
  readonly sweep: readonly WatermarkProgress[] | null
  /** By outgoing channel. */
  readonly outputs: Readonly<Record<string, OutputState>>
  /** What the operators that make watermarks have said, by uid. */
  readonly origins: Readonly<Record<string, WatermarkProgress>>
  /** The wake-up last asked for, epoch ms; null when none is needed. */
  readonly wakeAt: number | null
  /** Of a source that has ended. */
  readonly successors: readonly Successor[]
  readonly base: CommitBase
  /** What this commit changed of keyed state, by operator uid: delta segments. */
  readonly deltas: readonly (readonly [uid: string, part: Part])[]
  /** What it changed of operator state: packed `[uid, changes][]`. */
  readonly operatorChanges: Part | null
  /** Frames that came with this commit and wait (or all that wait, if it is the base). */
  readonly stash: Part | null
  readonly outbox: Part | null
  /** What the head operator has let through, if it has two inputs: it may be ahead of both, as one that was idle may come back behind. */
  readonly head: WatermarkProgress | null
  /** What it leaves to be done; null: everything is open. */
  readonly outlook: Outlook | null
}

/** What the log knows of an outgoing channel: what its receiver has been told. */
export interface OutputState extends WatermarkProgress {
  /** seq of the next frame. */
  readonly next: number
}

/** State as of version `version`; what counts is this, and the changes of the versions after it. */
export interface CommitBase {
  readonly version: number
  /** When it was committed, epoch ms. */
  readonly atMs: number
  /** All state (`encodeBase`), in the commit of that version; null in others, and when there is none. */
  readonly state: Part | null
}

/** A commit's fields by position: names would be half of its bytes, and a log charges by the kilobyte. */
type Packed = readonly [
  format: 3,
  plan: string,
  attempt: number,
  kind: CommitRecord['kind'],
  life: CommitRecord['life'],
  position: string | null,
  epoch: number,
  lastNow: number,
  index: number,
  channels: readonly (readonly [string, number, number, number, boolean, readonly Successor[] | null])[],
  inputs: readonly PackedProgress[],
  sweep: readonly PackedProgress[] | null,
  outputs: readonly (readonly [string, number, number, boolean])[],
  origins: readonly (readonly [string, number, boolean])[],
  wakeAt: number | null,
  successors: readonly Successor[],
  base: readonly [version: number, atMs: number, state: Part | null],
  deltas: CommitRecord['deltas'],
  operatorChanges: Part | null,
  stash: Part | null,
  outbox: Part | null,
  head: PackedProgress | null,
  outlook: PackedOutlook,
]

type PackedProgress = readonly [watermark: number, idle: boolean]

function packedFields(record: CommitRecord): Packed {
  const { plan, attempt, kind, life, position, epoch, lastNow, index, channels, inputs, sweep, outputs, origins, wakeAt, successors, base } = record
  return [
    3,
    plan,
    attempt,
    kind,
    life,
    position,
    epoch,
    lastNow,
    index,
    Object.entries(channels).map(([name, { next, at = 0, watermark, idle, successors: waiting }]) => [name, next, at, watermark, idle, waiting]),
    inputs.map(packedProgress),
    sweep?.map(packedProgress) ?? null,
    Object.entries(outputs).map(([name, { next, watermark, idle }]) => [name, next, watermark, idle]),
    Object.entries(origins).map(([uid, { watermark, idle }]) => [uid, watermark, idle]),
    wakeAt,
    successors,
    [base.version, base.atMs, base.state],
    record.deltas,
    record.operatorChanges,
    record.stash,
    record.outbox,
    record.head && packedProgress(record.head),
    packedOutlook(record.outlook),
  ]
}

function packedProgress({ watermark, idle }: WatermarkProgress): PackedProgress {
  return [watermark, idle]
}

function unpackedProgress([watermark, idle]: PackedProgress): WatermarkProgress {
  return { watermark, idle }
}

/** Throws nothing: all of it is plain data. */
export function encodeCommit(record: CommitRecord): Uint8Array {
  return packChecked(packedFields(record))
}

/** Throws LOG_CORRUPT. */
export function decodeCommit(log: string, { version, payload }: LogItem): CommitRecord {
  const unpacked = unpackChecked(payload)
  if ('fault' in unpacked) throw corruptLog(log, version, unpacked.fault)
  const fields = unpacked.value as Packed
  if (!Array.isArray(fields) || fields[0] !== 3) throw corruptLog(log, version, `it is of format ${String(fields?.[0])}, this version reads format 3`)
  return recordOf(fields)
}

function recordOf(fields: Packed): CommitRecord {
  const [
    format,
    plan,
    attempt,
    kind,
    life,
    position,
    epoch,
    lastNow,
    index,
    channels,
    inputs,
    sweep,
    outputs,
    origins,
    wakeAt,
    successors,
    base,
    deltas,
    operatorChanges,
    stash,
    outbox,
    head,
    outlook,
  ] = fields
  const channelStates: Record<string, ChannelState> = {}
  for (const [name, next, at, watermark, idle, waiting] of channels) {
    channelStates[name] = { next, ...(at > 0 ? { at } : {}), watermark, idle, successors: waiting }
  }
  const outputStates: Record<string, OutputState> = {}
  for (const [name, next, watermark, idle] of outputs) outputStates[name] = { next, watermark, idle }
  const originStates: Record<string, WatermarkProgress> = {}
  for (const [uid, watermark, idle] of origins) originStates[uid] = { watermark, idle }
  const [version, atMs, state] = base
  return {
    format,
    plan,
    attempt,
    kind,
    life,
    position,
    epoch,
    lastNow,
    index,
    channels: channelStates,
    inputs: inputs.map(unpackedProgress),
    sweep: sweep?.map(unpackedProgress) ?? null,
    outputs: outputStates,
    origins: originStates,
    wakeAt,
    successors,
    base: { version, atMs, state },
    deltas,
    operatorChanges,
    stash,
    outbox,
    head: head ? unpackedProgress(head) : null,
    outlook: unpackedOutlook(outlook),
  }
}

/** Where parts go that do not stand in the commit itself. */
export interface PartPlace {
  readonly blobs: BlobStore
  readonly log: string
  readonly version: number
  /** More than this stands aside. */
  readonly inlineBytes: number
  nonce(): string
}

/** The place of one item's parts. */
export function partPlace(ports: Pick<StagePorts, 'parts' | 'nonce'>, log: string, version: number, inlineBytes: number): PartPlace {
  return { blobs: ports.parts, log, version, inlineBytes, nonce: () => ports.nonce() }
}

/** Parts up to this size stay in the item whatever becomes of the others: a reference is hardly shorter, and a blob is to be fetched. */
const SMALL_PART = 256

/** A part on its own. */
export async function storePart(place: PartPlace, bytes: Uint8Array): Promise<Part> {
  return (await storeParts(place, [bytes]))[0] as Part
}

/** What one item holds: all of it inline when that is little together, else in one blob, but for small parts. Null stays null. */
export async function storeParts(place: PartPlace, parts: readonly (Uint8Array | null)[]): Promise<(Part | null)[]> {
  const sum = parts.reduce((bytes, part) => bytes + (part?.length ?? 0), 0)
  if (sum <= place.inlineBytes) return [...parts]
  const aside = parts.filter((part) => part !== null && part.length > Math.min(SMALL_PART, place.inlineBytes)) as Uint8Array[]
  if (aside.length === 0) return [...parts]
  const name = await storeBlob(place, joined(aside))
  let at = 0
  return parts.map((part) => {
    if (part === null || !aside.includes(part)) return part
    const from = at
    at += part.length
    return { name, from, bytes: part.length, crc32: crc32(part) }
  })
}

/** The name has a nonce: two writers of one version never touch each other's blobs. */
async function storeBlob({ blobs, log, version, nonce }: PartPlace, bytes: Uint8Array): Promise<string> {
  for (;;) {
    const name = `${log}/${version}-${nonce()}`
    if ((await blobs.put(name, bytes)) === 'stored') return name
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Throws LOG_CORRUPT when the blob is missing or not what was written. */
export async function loadPart(blobs: BlobStore, log: string, version: number, part: Part): Promise<Uint8Array> {
  if (part instanceof Uint8Array) return part
  const blob = await blobs.get(part.name)
  const bytes = blob && partOf(blob, part)
  if (bytes !== undefined) return bytes
  throw corruptLog(log, version, `its part ${part.name} is ${blob === undefined ? 'missing' : 'damaged'}`)
}

/** The part's bytes within its blob; undefined when they are not what was written. */
export function partOf(blob: Uint8Array, { from, bytes, crc32: sum }: PartRef): Uint8Array | undefined {
  const part = blob.subarray(from, from + bytes)
  return part.length === bytes && crc32(part) === sum ? part : undefined
}

export function corruptLog(log: string, version: number, why: string, cause?: unknown): MillraceError {
  return new MillraceError('LOG_CORRUPT', {
    what: `a commit cannot be read: ${why}`,
    where: `log ${log}, version ${version}`,
    todo: 'Nothing but this job may write to its table and bucket. Restore the job from its last checkpoint.',
    cause,
  })
}
