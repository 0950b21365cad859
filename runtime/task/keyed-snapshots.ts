import type { SegmentRef } from '../checkpoint/manifest.js'
import type { KeyedStateBackend } from '../state/index.js'

export type WriteSegment = (bytes: Uint8Array) => Promise<SegmentRef>

/** Deltas beyond which a new base is written. */
const MAX_DELTAS = 32

/**
 * Incremental snapshots of one keyed backend: a base segment and deltas. A snapshot is the list of segments; one whose
 * write failed makes the next snapshot start a new base, so no later checkpoint builds on what is not there.
 */
export class KeyedSnapshots {
  #segments: Promise<SegmentRef>[] = []
  #baseBytes = 0
  #deltaBytes = 0
  #needsBase = true
  /** Bytes of the segment written for the last snapshot. */
  lastBytes = 0

  constructor(readonly backend: KeyedStateBackend) {}

  /** Encodes at once; the promise waits for the write, and for earlier ones that this snapshot needs. */
  snapshot(write: WriteSegment): Promise<readonly SegmentRef[]> {
    const base = this.#needsBase || this.#segments.length > MAX_DELTAS || this.#deltaBytes > this.#baseBytes
    const bytes = base ? this.backend.snapshotAll() : this.backend.snapshotChanges()
    this.lastBytes = bytes?.length ?? 0
    if (base) {
      this.#segments = []
      this.#baseBytes = this.lastBytes
      this.#deltaBytes = 0
      this.#needsBase = false
    } else {
      this.#deltaBytes += this.lastBytes
    }
    if (bytes !== undefined) {
      const written = write(bytes)
      written.catch(() => {
        this.#needsBase = true
      })
      this.#segments.push(written)
    }
    return Promise.all(this.#segments)
  }

  /** Everything in one segment elsewhere (a savepoint), leaving the checkpoints' segments alone. */
  async snapshotWhole(write: WriteSegment): Promise<readonly SegmentRef[]> {
    const bytes = this.backend.snapshotAll()
    this.#needsBase = true
    return bytes === undefined ? [] : [await write(bytes)]
  }
}
