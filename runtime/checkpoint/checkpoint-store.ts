import { assert, MillraceError } from '../core/index.js'
import type { BlobStore } from '../ports/index.js'
import { adoptedName, CHECKPOINTS, checkpointIdOfManifest, manifestName, placeOf, SAVEPOINT_MANIFEST, SEGMENTS } from './checkpoint-names.js'
import { type CheckpointSummary, summarise } from './checkpoint-summary.js'
import { type Manifest, type SegmentRef, segmentBlobsOf, segmentsOf } from './manifest.js'
import { corruptManifest, decodeManifest, encodeManifest } from './manifest-codec.js'
import { decideRetention, type RetentionDecision } from './retention.js'
import { readSegment, writeSegment } from './segment-blobs.js'

export interface CheckpointStoreOptions {
  /** The store's root as the user knows it (a folder, a bucket with prefix), for messages and returned paths. */
  readonly root?: string
  /** A random text of letters and digits for names of segments; needed to write them. */
  readonly newNonce?: () => string
}

/**
 * The checkpoints of one job in a {@link BlobStore}.
 *
 * I1 A checkpoint exists when its manifest does, and the manifest is written last.
 * I2 A segment is never changed; several manifests may name it.
 * I3 A manifest is deleted before the segments that only it names.
 * I4 A damaged newest checkpoint is an error: state from before it is never restored unasked.
 */
export class CheckpointStore {
  readonly root: string
  readonly #newNonce: (() => string) | undefined

  constructor(
    readonly blobs: BlobStore,
    options: CheckpointStoreOptions = {},
  ) {
    this.root = options.root ?? ''
    this.#newNonce = options.newNonce
  }

  /** Stores one segment under a new name. Throws CHECKPOINT_FAILED, and what the blob store throws. */
  async writeSegment(uid: string, subtask: number, checkpointId: number, bytes: Uint8Array): Promise<SegmentRef> {
    assert(this.#newNonce !== undefined, 'a checkpoint store that writes has a source of nonces')
    return writeSegment(this.blobs, { uid, subtask, checkpointId }, bytes, this.#newNonce)
  }

  /** Throws CHECKPOINT_CORRUPT, naming the file, when the segment is missing, damaged or truncated. */
  async readSegment(ref: SegmentRef): Promise<Uint8Array> {
    return readSegment(this.blobs, ref, this.root)
  }

  /**
   * Writes the manifest: from here the checkpoint exists. `bytes` counts the manifest and all segments it names.
   * Throws CHECKPOINT_FAILED when one of that id is there already, STATE_UNSERIALISABLE.
   */
  async complete(manifest: Manifest): Promise<{ readonly path: string; readonly bytes: number }> {
    const savepoint = manifest.kind === 'savepoint'
    const name = savepoint ? SAVEPOINT_MANIFEST : manifestName(manifest.checkpointId)
    const bytes = encodeManifest(manifest)
    if ((await this.blobs.put(name, bytes)) === 'exists') throw this.#alreadyThere(name)
    return {
      path: savepoint ? this.root : placeOf(this.root, `${CHECKPOINTS}${manifest.checkpointId}`),
      bytes: segmentsOf(manifest).reduce((sum, ref) => sum + ref.bytes, bytes.length),
    }
  }

  /**
   * The same for somebody who may have done it before: a manifest of this job, attempt and id that is there already is taken for it. A
   * savepoint stands among the checkpoints, under its id, and is never dropped by {@link retain}.
   * Throws CHECKPOINT_FAILED when another one of that id is there, STATE_UNSERIALISABLE.
   */
  async ensure(manifest: Manifest): Promise<{ readonly path: string }> {
    const { job, attempt, checkpointId } = manifest
    const name = manifestName(checkpointId)
    if ((await this.blobs.put(name, encodeManifest(manifest))) === 'exists') {
      const bytes = await this.blobs.get(name)
      // Clean-up may have dropped it since: then it has long been complete.
      const before = bytes && decodeManifest(bytes, placeOf(this.root, name))
      if (before !== undefined && (before.job !== job || before.attempt !== attempt)) throw this.#alreadyThere(name)
    }
    return { path: placeOf(this.root, `${CHECKPOINTS}${checkpointId}`) }
  }

  /**
   * Takes over the segments of another store's manifest, and returns it with the names that they have here. These are the attempt's own: what a
   * former attempt has taken over may be about to be deleted. Throws what `readSegment` throws.
   */
  async adopt(manifest: Manifest, from: CheckpointStore, attempt: number): Promise<Manifest> {
    const adopted = renamed(manifest, (name) => adoptedName(name, attempt))
    // One that exists is the same segment from a copy that was cut short.
    for (const ref of segmentBlobsOf(manifest)) await this.blobs.put(adoptedName(ref.name, attempt), await from.readSegment(ref))
    return adopted
  }

  /**
   * Makes this store a savepoint that needs no other folder: copies the segments, then writes the manifest at the root.
   * Throws CHECKPOINT_FAILED when there is a savepoint already, and what `readSegment` throws.
   */
  async writeSavepoint(
    manifest: Manifest,
    readSegment: (ref: SegmentRef) => Promise<Uint8Array>,
  ): Promise<{ readonly path: string; readonly bytes: number }> {
    if ((await this.blobs.get(SAVEPOINT_MANIFEST)) !== undefined) throw this.#alreadyThere(SAVEPOINT_MANIFEST)
    // A name holds a nonce, so one that exists is the same segment from a copy that was cut short.
    for (const ref of segmentBlobsOf(manifest)) await this.blobs.put(ref.name, await readSegment(ref))
    return this.complete({ ...manifest, kind: 'savepoint' })
  }

  /** Ids of the checkpoints in this folder, damaged ones too, ascending. */
  async ids(): Promise<number[]> {
    const names = await this.blobs.list(CHECKPOINTS)
    return names
      .map(checkpointIdOfManifest)
      .filter((id) => id !== undefined)
      .sort((a, b) => a - b)
  }

  /**
   * The newest completed checkpoint, undefined when there is none. A savepoint at the root counts as well.
   * Throws CHECKPOINT_CORRUPT or CHECKPOINT_VERSION when the newest one cannot be read.
   */
  async latest(): Promise<Manifest | undefined> {
    const newest = (await this.ids()).at(-1)
    const checkpoint = newest === undefined ? undefined : await this.load(newest)
    if ((await this.blobs.get(SAVEPOINT_MANIFEST)) === undefined) return checkpoint
    const savepoint = await this.load('savepoint')
    return checkpoint === undefined || savepoint.checkpointId > checkpoint.checkpointId ? savepoint : checkpoint
  }

  /** Throws CHECKPOINT_NOT_FOUND, CHECKPOINT_CORRUPT, CHECKPOINT_VERSION. */
  async load(which: number | 'savepoint'): Promise<Manifest> {
    const name = which === 'savepoint' ? SAVEPOINT_MANIFEST : manifestName(which)
    const where = placeOf(this.root, name)
    const bytes = await this.blobs.get(name)
    if (bytes === undefined) {
      throw new MillraceError('CHECKPOINT_NOT_FOUND', {
        what: which === 'savepoint' ? 'there is no savepoint' : `there is no checkpoint ${which}`,
        where,
        todo: 'List what is there: millrace checkpoints DIR.',
      })
    }
    const manifest = decodeManifest(bytes, where)
    if (which !== 'savepoint' && manifest.checkpointId !== which) throw corruptManifest(where, `it is that of checkpoint ${manifest.checkpointId}`)
    return manifest
  }

  /** What is in this folder, newest last, with every segment read and verified. */
  async list(): Promise<CheckpointSummary[]> {
    const whichs: (number | 'savepoint')[] = await this.ids()
    if ((await this.blobs.get(SAVEPOINT_MANIFEST)) !== undefined) whichs.push('savepoint')
    const summaries: CheckpointSummary[] = []
    const verified = new Map<string, string | undefined>()
    for (const which of whichs) summaries.push(await summarise(this, which, verified))
    return summaries.sort((a, b) => (a.id ?? Number.MAX_SAFE_INTEGER) - (b.id ?? Number.MAX_SAFE_INTEGER))
  }

  /**
   * Keeps the newest `keep` checkpoints and deletes the older ones, and segments that are no longer needed
   * ({@link decideRetention}). `inUse` names the segments that the running job builds on, and those acknowledged for
   * checkpoints in progress; `inProgressFrom` is the oldest of these, whose segments may be there before they are acknowledged.
   */
  async retain(keep: number, inUse: ReadonlySet<string> = new Set(), inProgressFrom?: number): Promise<RetentionDecision> {
    // Segments are listed before the manifests are read: one that is named only meanwhile is not in the list.
    const segments = await this.blobs.list(SEGMENTS)
    const checkpoints = []
    for (const id of await this.ids()) checkpoints.push({ id, manifest: await this.#readable(id) })
    const hasSavepoint = (await this.blobs.get(SAVEPOINT_MANIFEST)) !== undefined
    const savepoint = hasSavepoint ? ((await this.#readable('savepoint')) ?? 'unreadable') : undefined
    const decision = decideRetention({ checkpoints, savepoint, segments, inUse, inProgressFrom, keep })
    for (const id of decision.checkpoints) await this.blobs.delete(manifestName(id))
    for (const name of decision.segments) await this.blobs.delete(name)
    return decision
  }

  async #readable(which: number | 'savepoint'): Promise<Manifest | undefined> {
    try {
      return await this.load(which)
    } catch (error) {
      if (error instanceof MillraceError && error.code.startsWith('CHECKPOINT_')) return undefined
      throw error
    }
  }

  #alreadyThere(name: string): MillraceError {
    return new MillraceError('CHECKPOINT_FAILED', {
      what: name === SAVEPOINT_MANIFEST ? 'the folder holds a savepoint already' : 'a checkpoint of this id exists already',
      where: placeOf(this.root, name),
      todo: name === SAVEPOINT_MANIFEST ? 'Name an empty folder.' : 'Give each job a checkpoint folder of its own.',
    })
  }
}

function renamed(manifest: Manifest, nameOf: (name: string) => string): Manifest {
  const operators = manifest.operators.map((operator) => ({
    ...operator,
    subtasks: operator.subtasks.map((subtask) => ({
      ...subtask,
      keyed: subtask.keyed.map((ref) => (ref.inline === undefined ? { ...ref, name: nameOf(ref.name) } : ref)),
    })),
  }))
  return { ...manifest, operators }
}

/** What can be restored from a store's folder, newest last; for the command line. */
export function listCheckpoints(blobs: BlobStore, root = ''): Promise<CheckpointSummary[]> {
  return new CheckpointStore(blobs, { root }).list()
}
